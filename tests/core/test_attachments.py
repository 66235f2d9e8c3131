import pytest

from core.attachments import as_text, confession
from core.events import Attachment

VOICE = Attachment(kind="voice note", seconds=12.2)
IMAGE = Attachment(kind="image", name="cat.png")
FILE = Attachment(kind="file", name="a.pdf")


def test_an_attachment_is_named_to_the_model() -> None:
    assert as_text(VOICE) == "[voice note, 12 s]"
    assert as_text(IMAGE) == "[image, cat.png]"


@pytest.mark.parametrize(
    ("attachments", "cannot"),
    [
        ([VOICE], "listen to your voice note"),
        ([IMAGE, IMAGE], "see your 2 images"),
        ([IMAGE, VOICE], "see your image or listen to your voice note"),
        ([FILE, IMAGE, FILE], "open your 2 files or see your image"),
        ([Attachment(kind="contact"), FILE], "open your contact and your file"),
    ],
)
def test_the_person_is_told_what_cannot_be_read(attachments: list[Attachment], cannot: str) -> None:
    assert confession(attachments, alone=False) == f"(I only read text: I cannot {cannot}.)"
    assert cannot in confession(attachments, alone=True)
