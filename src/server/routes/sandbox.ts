import type { SandboxService } from "../../gen/sandlot/v1/sandbox_service_pb.ts";
import type { Rollouts } from "../../trajectory/rollouts.ts";
import type { Handlers } from "../adapter.ts";
import { decodeExec, decodeRead, decodeWrite } from "../decode-sandbox.ts";
import { encodeExecEvent, encodePiece } from "../encode-sandbox.ts";
import { waiting } from "./route.ts";

/** Every rpc of the service; the type says that none is missing. */
export function sandboxRoutes(rollouts: Rollouts): Handlers<typeof SandboxService> {
  return {
    async *exec(request, call) {
      const asked = decodeExec(request);
      for await (const event of rollouts.exec(asked, waiting(call))) yield* encodeExecEvent(event, asked.fromOffset);
    },
    async *readFile(request, call) {
      for await (const piece of rollouts.readFile(decodeRead(request), waiting(call))) yield encodePiece(piece);
    },
    async writeFile(chunks, call) {
      const { failure, replayed } = await rollouts.writeFile(await decodeWrite(chunks), waiting(call));
      return { failure: failure ?? "", replayed };
    },
  };
}
