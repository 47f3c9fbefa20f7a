"""`hubel search`."""

from __future__ import annotations

from pathlib import Path

from hubel.cli.data_flags import Root, rooted

EXAMPLES = (
    'hubel search holiday/ "a dog on the beach"',
    'hubel search shop/ "빨간 드레스" --top 20 --page found.html',
    'hubel search shop/ "a striped shirt" --model runs/shop-efficientnet_lite0-1',
)


def search(
    folder: str,
    query: str,
    /,
    *,
    top: int = 10,
    nearest: bool = False,
    json: bool = False,
    csv: bool = False,
    page: Path | None = None,
    model: str = "efficientnet_lite0",
    encoder: str = "concepts",
    root: Root = None,
    device: str = "auto",
) -> int:
    """Find the photos of a folder or table that fit a sentence, in English or Korean; "nothing fits" is an answer.

    The first search looks at every photo; later searches look only at new and changed ones. A photo fits if its score
    is higher than what words that are in none of the photos reach by chance.

    Exit codes: 0 success, also if nothing fits; 2 wrong usage; 3 some files unreadable.

    Args:
        folder: folder with photos at any depth, or a table (CSV, TSV or Parquet) of paths; labels are not needed.
        query: what the photos show, such as "a red dress on a hanger".
        top: most photos to print.
        nearest: print the photos with the highest scores even if they do not fit.
        json: print one JSON object.
        csv: print a CSV table with a header.
        page: HTML file for the photos that fit, as small pictures.
        model: classifier in whose classes photos and sentences meet, as for hubel predict.
        encoder: concepts; clip: and a checkpoint, such as clip:RN50; or a run that was trained on pairs of images and
            captions.
        root: folder that the paths of a table start at.
        device: cpu, cuda, mps or auto.
    """
    from dataclasses import asdict

    from hubel.cli.printing import csv_output, print_json, print_line
    from hubel.core.errors import OptionError
    from hubel.core.progress import say, say_notes
    from hubel.retrieval.encoders import find_encoder
    from hubel.retrieval.search import in_words, search_photos

    if json and csv:
        raise OptionError("choose one of --json and --csv")
    if page is not None:
        from hubel.retrieval.page import page_path, save_answer_page

        page = page_path(page)
    chosen = find_encoder(encoder, model=model, device=device)
    answer, index = search_photos(rooted(folder, root), query, encoder=chosen, top_k=top)
    if page is not None:
        save_answer_page(page, answer, folder)
    shown = answer.nearest if nearest else answer.found
    if json:
        print_json(asdict(answer))
    elif csv:
        import csv as csv_module

        writer = csv_module.writer(csv_output(), lineterminator="\n")
        writer.writerow(["path", "score"])
        writer.writerows((one.path, f"{one.similarity:.6f}") for one in shown)
    else:
        if shown:
            from hubel.cli.tables import print_table

            print_table(["photo", "score"], [(one.path, f"{one.similarity:.3f}") for one in shown])
        print_line(in_words(answer))
        if index.embedded:
            print_line(f"{index.embedded:,} photos were new or changed")
    say_notes(index.notes)
    for problem in index.problems:
        say(f"unreadable: {problem}")
    return 3 if index.problems else 0
