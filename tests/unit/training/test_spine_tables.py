"""Tables of a card: a mean never stands without n and its worst case, and what training saw never counts."""

from dicom_ai.training.spine_tables import case_table, crop_table, sections, structure_table


def part(level, dice, *, surface_mm=1.0, answer="right"):
    return {"level": level, "dice": dice, "surface_mm": surface_mm, "hd95_mm": surface_mm, "answer": answer}


def whole(image, *parts, seen=False):
    return {
        "image": image,
        "source": "chu",
        "crop": "",
        "seen": seen,
        "parts": list(parts),
        "structures": len(parts),
        "dice_mean": 0.5,
        "dice_worst": 0.25,
        "worst": "L4",
        "surface_mm": None,
        "hd95_mm": 2.0,
        "right": 1,
        "wrong": 0,
        "withheld": 1,
    }


def cropped(image, crop, *, vertebrae, named, seen=False):
    facts = {"image": image, "source": "chu", "crop": crop, "seen": seen, "parts": None}
    return facts | {"structures": vertebrae, "false_levels": named}


ROWS = [
    whole("a", part("L5", 0.9), part("L4", 0.5, surface_mm=3.0, answer="withheld")),
    whole("b", part("L5", 0.7, surface_mm=2.0, answer="wrong"), part("L4", 0.0, surface_mm=None, answer="withheld")),
    whole("c", part("L5", 0.1), seen=True),
    cropped("a", "above L3", vertebrae=3, named=0),
    cropped("b", "above L3", vertebrae=0, named=0),
    cropped("a", "above L5/S1", vertebrae=4, named=0),
    cropped("b", "above L5/S1", vertebrae=5, named=2),
    cropped("c", "above L3", vertebrae=9, named=9, seen=True),
]


def test_each_structure_has_its_mean_its_worst_case_and_its_answers():
    lines = structure_table(ROWS)

    assert lines[2:] == [
        "| chu | L5 | 2 | 0.800 (0.700, b) | 1.50 mm (2.00, b) | 1.50 mm (2.00, b) | 1 | 1 | 0 |",
        "| chu | L4 | 2 | 0.250 (0.000, b) | 3.00 mm (3.00, a) | 3.00 mm (3.00, a) | 0 | 0 | 2 |",
        "| chu | all | 4 | 0.525 (0.000, b) | 2.00 mm (3.00, a) | 2.00 mm (3.00, a) | 1 | 1 | 2 |",
    ]


def test_levels_in_crops_are_counted_with_the_worst_case():
    assert crop_table(ROWS)[2:] == [
        "| above L3 | chu | 2 | 3 | 1 | 0 | none |",
        "| above L5/S1 | chu | 2 | 9 | 0 | 2 | b |",
    ]


def test_every_table_has_as_many_cells_as_its_head():
    for table in (case_table(ROWS), structure_table(ROWS), crop_table(ROWS)):
        assert {line.count("|") for line in table} == {table[0].count("|")}


def test_a_card_shows_cases_structures_and_crops():
    text = "\n".join(sections({"rows": ROWS, "notes": ["a note"]}))

    assert "| a | no | 2 | 0.500 | 0.250 (L4) | - | 2.00 mm | 1 | 0 | 1 |" in text
    assert "- a note" in text and "| chu | all | 4 |" in text and "| above L3 | chu |" in text
