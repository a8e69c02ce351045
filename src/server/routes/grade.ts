import { decodeGrade } from "../decode.ts";
import { encodeGrade } from "../encode-grade.ts";
import { type RouteContext, type Routes, waiting } from "./route.ts";

export function gradeRoutes({ rollouts }: RouteContext): Routes<"grade"> {
  return {
    async grade(request, call) {
      const subject = decodeGrade(request);
      const grade =
        subject.type === "trajectory"
          ? await rollouts.gradeTrajectory(subject.call, waiting(call))
          : await rollouts.gradePatch(subject.call, waiting(call));
      return encodeGrade(grade, call.scopes);
    },
  };
}
