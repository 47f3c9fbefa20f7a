import { Figure, Picture, unpack, type Packed, type T } from "@parts";
import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";

interface Props {
  scene: Packed;
  /** What describes it, for those who do not see it. */
  label: string;
  caption: ComponentChildren;
  zoom: number;
  t: T;
}

/** A scene above its caption, which is no wider. */
export function Scene({ scene, label, caption, zoom, t }: Props) {
  const pixels = useMemo(() => unpack(scene), [scene]);
  return (
    <div style={{ width: `${zoom * scene.columns}px` }}>
      <Figure caption={caption}>
        <Picture pixels={pixels} zoom={zoom} label={t.text("pairs.scene", { caption: label })} />
      </Figure>
    </div>
  );
}
