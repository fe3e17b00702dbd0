"""Draw the picture of the read-me: what starves, and what treatment does, from two runs.

Trains the packaged recipes "digits-joint" and "digits-agm" of the demo, seed 0, into a folder that
is thrown away, and draws the validation accuracy of each modality's response after each epoch.

    python benchmarks/readme_picture.py [path of the picture]
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from counterpoise.training import read_recipe, train

__all__ = ["picture", "rows"]

PICTURE = Path(__file__).parents[1] / "docs" / "figures" / "starving.svg"
RECIPES = {"joint training": "digits-joint", "AGM": "digits-agm"}
COLOURS = {"whole model": "#7a7f87", "image response": "#2f6fb3", "audio response": "#c2571a"}


def rows(title: str, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the points of one run, epochs counted from 1."""
    points = []
    for epoch in record["epochs"]:
        number = epoch["epoch"] + 1
        points.append((number, "whole model", epoch["validation/accuracy"]))
        points += [
            (number, f"{name} response", epoch[f"validation/response/{name}/accuracy"])
            for name in record["data"]["modalities"]
        ]
    return [
        {"run": title, "epoch": epoch, "what": what, "accuracy": value}
        for epoch, what, value in points
    ]


def picture(points: Sequence[Mapping[str, Any]]) -> str:
    """Return the SVG: a chart for each run, side by side on one axis."""
    data = alt.Data(values=list(points))  # type: ignore[no-untyped-call]
    base = alt.Chart(data).encode(
        x=alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, grid=False)),
        y=alt.Y(
            "accuracy:Q",
            title="validation accuracy",
            axis=alt.Axis(format=".0%"),
            scale=alt.Scale(domain=[0, 1]),
        ),
        color=alt.Color(
            "what:N",
            title=None,
            scale=alt.Scale(domain=[*COLOURS], range=[*COLOURS.values()]),
        ),
    )
    chart = base.mark_line(strokeWidth=2.5, point=True).properties(width=290, height=210)
    faceted = chart.facet(
        column=alt.Column("run:N", title=None, sort=[*RECIPES], header=alt.Header(labelFontSize=14))
    )
    styled = faceted.configure(background="white").configure_view(stroke=None)
    return str(vl_convert.vegalite_to_svg(styled.to_json()))


def main() -> None:
    """Train, draw, and print what the last epoch came to."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    points = []
    with tempfile.TemporaryDirectory() as folder:
        for title, name in RECIPES.items():
            record = train(read_recipe(name), Path(folder) / name, progress=False)
            points += rows(title, record)
            for point in rows(title, record)[-3:]:
                print(f"{title}, {point['what']}: {point['accuracy']:.1%}")
            minutes = record["wall_time_seconds"] / 60
            print(f"{title}: test {record['test']['accuracy']:.1%}, {minutes:.1f} minutes")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(picture(points), encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
