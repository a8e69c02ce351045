import { defineConfig } from "vitest/config";

/** Three projects: `vitest run --project unit`. Real processes and mounts: forks, never threads. */
export default defineConfig({
  test: {
    pool: "forks",
    // On a machine that is many times slower than a quiet one, too.
    testTimeout: 180_000,
    hookTimeout: 300_000,
    expect: { requireAssertions: true, poll: { timeout: 60_000 } },
    reporters: ["default"],
    projects: [
      { extends: true, test: { name: "unit", include: ["src/**/*.test.ts", "runner/**/*.test.ts"] } },
      { extends: true, test: { name: "contract", include: ["test/contract/**/*.test.ts"], fileParallelism: false } },
      {
        extends: true,
        test: { name: "e2e", include: ["test/e2e/**/*.test.ts"], fileParallelism: false, sequence: { groupOrder: 1 } },
      },
    ],
  },
});
