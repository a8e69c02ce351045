import { SandlotError } from "../errors.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import type { Restore } from "./spec.ts";

/** A path that the sealed commit does not have is passed over. */
const RESTORE = `
while IFS= read -r -d "" entry; do
  path=\${entry#?}
  case $entry in
    =*) ! git cat-file -e "HEAD:$path" 2>/dev/null || git --literal-pathspecs checkout --quiet HEAD -- "$path" || exit 1 ;;
    -*) rm -rf -- "./$path" || exit 1 ;;
  esac
done
`;

/** Puts files back after a submission was applied: those of the sealed commit as they were there, whatever the submission made of them; the others go. */
export async function restoreFiles(sandbox: Sandbox, { tracked, added }: Restore, signal: AbortSignal): Promise<void> {
  if (tracked.length + added.length === 0) return;
  const list = [...tracked.map((path) => `=${path}\0`), ...added.map((path) => `-${path}\0`)].join("");
  const options = { callId: "restore", stdin: Buffer.from(list), timeoutMs: 300_000, keepBytes: 64 * 1024, signal };
  const { exitCode } = await sandbox.exec(["bash", "-c", RESTORE], options);
  if (exitCode !== 0) throw new SandlotError("sandbox", `the test files could not be put back: exit code ${exitCode}`);
}
