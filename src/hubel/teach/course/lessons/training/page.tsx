import { Batches } from "./batches";
import { Decay } from "./decay";
import { Dropout } from "./dropout";
import { Hand } from "./hand";
import { Initial } from "./initial";
import { Mean } from "./mean";
import { Optimizers } from "./optimizers";
import { Rate } from "./rate";
import { Recipe } from "./recipe";

/** Training by gradient descent. */
export default function Page() {
  return (
    <>
      <Hand />
      <Rate />
      <Mean />
      <Batches />
      <Optimizers />
      <Initial />
      <Decay />
      <Dropout />
      <Recipe />
    </>
  );
}
