import { expect } from "vitest";
import type { Sandbox, View } from "../../../src/sandbox/sandbox.ts";
import { bash, specIn } from "../../support/backends.ts";
import type { Behaviour, Subject } from "../../support/subject.ts";

/** Shows the other sandbox from the beginning. */
async function withView(subject: Subject, view: View, work: (helper: Sandbox) => Promise<void>): Promise<void> {
  await subject.withSandbox({ views: [view] }, work);
}

/** Shows it to one that runs. */
async function withAttached(subject: Subject, view: View, work: (helper: Sandbox) => Promise<void>): Promise<void> {
  await subject.withSandbox({}, async (helper) => {
    await subject.backend.attach?.(helper.id, view);
    await work(helper);
  });
}

/** One that changed, added and removed files, frozen, is seen as it stands. */
async function isSeen(subject: Subject, shown: typeof withView): Promise<void> {
  const { isolation } = subject.backend.capabilities;
  await subject.withSandbox({}, async (viewed) => {
    await bash(viewed, "echo new > added; rm file; echo changed > folder/other; ln -s added link; chmod 755 added");
    await using frozen = await viewed.freeze();
    await shown(subject, { of: viewed.id, at: "/seen" }, async (helper) => {
      const at = helper.locate("/seen/work");
      const look = `cd ${at} && ls && cat added folder/other && readlink link && stat -c %a added`;
      expect((await bash(helper, look)).stdout).toBe("added\nfolder\nlink\nnew\nchanged\nadded\n755\n");
      if (!isolation) return;
      const change = `echo mine > ${at}/added; cat ${at}/added; rm -rf ${at} 2>&1; ls -A ${at}`;
      expect((await bash(helper, change)).stdout).toBe("mine\n");
    });
    await frozen[Symbol.asyncDispose]();
    if (isolation) expect((await bash(viewed, "cat added; ls")).stdout).toBe("new\nadded\nfolder\nlink\n");
  });
}

export const views: readonly Behaviour[] = [
  {
    name: "from the beginning shows another as it stands, deletions too, and lets nothing through to it",
    needs: ["views"],
    check: (subject) => isSeen(subject, withView),
  },
  {
    name: "that is attached shows another as it stands, deletions too, and lets nothing through to it",
    needs: ["attach"],
    check: (subject) => isSeen(subject, withAttached),
  },
  {
    name: "is attached only where nothing is, to a sandbox that is there, from one that is",
    needs: ["attach"],
    check: async (subject) => {
      const { attach } = subject.backend;
      if (attach === undefined) throw new Error("a backend that lacks nothing can attach");
      await subject.withSandbox({}, async (viewed) =>
        subject.withSandbox({}, async (helper) => {
          const view = { of: viewed.id, at: "/seen" };
          const none = specIn(subject.place).id;
          await expect(attach(helper.id, { ...view, at: "/work" })).rejects.toThrow("/work: File exists");
          await expect(attach(helper.id, { ...view, at: "relative" })).rejects.toMatchObject({ fault: "invalid" });
          await expect(attach(helper.id, { ...view, of: none })).rejects.toMatchObject({ fault: "not_found" });
          await expect(attach(none, view)).rejects.toMatchObject({ fault: "not_found" });
          expect((await bash(helper, "ls; ls -d /seen")).stdout).toBe("file\nfolder\n");
          await attach(helper.id, view);
          expect((await bash(helper, "ls /seen/work")).stdout).toBe("file\nfolder\n");
        }),
      );
    },
  },
  {
    name: "of which one folder is wanted shows that folder, and nothing behind a link in its place",
    needs: ["views"],
    check: async (subject) =>
      subject.withSandbox({}, async (viewed) => {
        await bash(
          viewed,
          "mkdir real; echo mine > real/secret; ln -s real linked; echo new > folder/added; rm folder/other",
        );
        await using _ = await viewed.freeze();
        const { isolation } = subject.backend.capabilities;
        await withView(subject, { of: viewed.id, at: "/seen", within: "/work/folder" }, async (helper) => {
          expect((await bash(helper, `ls ${helper.locate("/seen/work/folder")}`)).stdout).toBe("added\n");
        });
        if (!isolation) return;
        await withView(subject, { of: viewed.id, at: "/seen", within: "/work/linked/deep" }, async (helper) => {
          expect(
            (await bash(helper, "cat /seen/work/linked/deep 2>&1; ls -ld /seen/work/linked")).stdout,
          ).not.toContain("mine");
        });
      }),
  },
  {
    name: "of a sandbox that is not there is refused",
    needs: ["isolation", "views"],
    check: async ({ place, backend }) => {
      const spec = specIn(place, { views: [{ of: specIn(place).id, at: "/seen" }] });
      await expect(backend.create(spec)).rejects.toMatchObject({ fault: "not_found" });
      expect(await backend.list()).not.toContain(spec.id);
    },
  },
  {
    name: "of a sandbox that was ended from outside shows what is left of it",
    needs: ["views"],
    check: async (subject) => {
      const victim = await subject.backend.create(specIn(subject.place));
      await bash(victim, "echo new > added");
      await subject.place.endFromOutside(victim.id);
      await withView(subject, { of: victim.id, at: "/seen" }, async (helper) => {
        const { stdout } = await bash(helper, `cat ${helper.locate("/seen/work")}/{file,added}`);
        expect(stdout).toBe("from the layer\nnew\n");
      });
      await victim.dispose();
    },
  },
];
