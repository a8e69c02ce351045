/** The backends that SANDLOT_REQUIRE_BACKENDS ("oci,process") names: tests of them must run. */
export function requiredBackends(): readonly string[] {
  return (process.env["SANDLOT_REQUIRE_BACKENDS"] ?? "").split(",").filter((name) => name !== "");
}

/** Says why tests of a backend are left out; an error where it is required, so that nobody takes it for tested. */
export function leaveOut(what: string, backend: string, reason: string): void {
  if (requiredBackends().includes(backend)) {
    throw new Error(`SANDLOT_REQUIRE_BACKENDS names ${backend}, which does not work here: ${what}: ${reason}`);
  }
  process.stderr.write(`skipped: ${what}: ${reason}\n`);
}
