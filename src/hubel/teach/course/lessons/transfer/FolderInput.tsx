import { jpegOf, pixelsOf, type LessonProps } from "@parts";
import { useState } from "preact/hooks";

export interface Sent {
  label: string;
  photo: string;
}

const MOST = 60;
const SIDE = 160;

/** A folder of class folders, or photos of one class after another; they are made small before they are sent. */
export function FolderInput({ t, onPhotos }: { t: LessonProps["t"]; onPhotos: (photos: Sent[]) => void }) {
  const [said, setSaid] = useState("");
  const onFiles = async (files: File[]) => {
    const images = files.filter((file) => file.type.startsWith("image/"));
    const every = Math.max(1, Math.ceil(images.length / MOST));
    const photos: Sent[] = [];
    for (const file of images.filter((_, number) => number % every === 0)) {
      const path = file.webkitRelativePath.split("/");
      const label = path.length > 1 ? path[path.length - 2]! : "";
      try {
        photos.push({ label, photo: jpegOf(await pixelsOf(file, SIDE, true)) });
      } catch {
        continue; // no image that the browser can read
      }
    }
    const classes = [...new Set(photos.map((photo) => photo.label))];
    setSaid(t.text("train.chosen", { count: photos.length, classes: classes.join(", ") }));
    onPhotos(photos);
  };
  return (
    <div class="photo" data-id="folder">
      <label class="button">
        <input
          type="file"
          class="hidden"
          multiple
          ref={(input) => input?.setAttribute("webkitdirectory", "")}
          onChange={(event) => void onFiles([...(event.currentTarget.files ?? [])])}
        />
        {t("train.folder")}
      </label>
      <small role="status">{said || t("train.folderHelp")}</small>
    </div>
  );
}
