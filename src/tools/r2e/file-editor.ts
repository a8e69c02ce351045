import { strReplaceEditor } from "../str-replace-editor.ts";
import type { Tool } from "../tool.ts";

const { description, parameters } = strReplaceEditor.schema.function;

/** R2E-Gym's `file_editor`: `str_replace_editor` under that name. `concise` is taken and changes nothing: a view is always the lines and no more. */
export const fileEditor: Tool = {
  listsAsText: strReplaceEditor.listsAsText ?? [],
  schema: {
    type: "function",
    function: {
      name: "file_editor",
      description,
      parameters: {
        ...parameters,
        properties: {
          ...parameters.properties,
          concise: { type: "boolean", description: "For `view`: has no effect here." },
        },
      },
    },
  },
  run: ({ concise: _, ...args }, call) => strReplaceEditor.run(args, call),
};
