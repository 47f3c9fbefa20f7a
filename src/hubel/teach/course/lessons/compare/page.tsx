import { Cost } from "./cost";
import { Fall } from "./fall";
import { Pixels } from "./pixels";
import { Sharing } from "./sharing";
import { Templates } from "./templates";
import { Vote } from "./vote";

/** Why not simply compare, or connect everything? */
export default function Page() {
  return (
    <>
      <Pixels />
      <Vote />
      <Cost />
      <Templates />
      <Fall />
      <Sharing />
    </>
  );
}
