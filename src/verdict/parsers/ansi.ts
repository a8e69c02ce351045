/** `ansi_escape` of the official harness removes what this finds. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is looked for
export const ANSI = /\x1b(?:[@-Z\\-_]|\[[0-?]*[ -/]*[@-~])/g;
