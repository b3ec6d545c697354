#!/usr/bin/env python3
"""Makes the sample documents in this folder from scanned.txt.

Needs Pillow, qpdf and the DejaVu fonts (python3 -m pip install pillow; apt-get install qpdf fonts-dejavu-core).
The results are committed, so only somebody who changes a sample has to run this.
"""

import io
import random
import re
import subprocess
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

from PIL import Image, ImageDraw, ImageFilter, ImageFont

HERE = Path(__file__).resolve().parent
FONTS = Path("/usr/share/fonts/truetype/dejavu")
PAGES = [p.strip() for p in re.split(r"--- Page \d+ ---", (HERE / "scanned.txt").read_text())]
A4_POINTS = (595, 842)
SCAN_DPI = 150


def blocks(page):
    """The paragraphs of a page, each with its line breaks undone except in headings and lists."""
    for block in page.split("\n\n"):
        lines = block.split("\n")
        if len(lines) > 1 and all(len(line) > 60 for line in lines[:-1]) and not lines[0].startswith("1."):
            yield " ".join(lines)
        else:
            yield from lines


def wrap(text, width, measure):
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and measure(longer) > width:
            yield line
            line = word
        else:
            line = longer
    yield line


# Scans: a drawn page, turned a little, blurred and speckled, as a flatbed scanner leaves it.


def scan(page, number):
    noise = random.Random(number)
    width, height = (points * SCAN_DPI // 72 for points in A4_POINTS)
    image = Image.new("L", (width, height), 246)
    draw = ImageDraw.Draw(image)
    body = ImageFont.truetype(str(FONTS / "DejaVuSerif.ttf"), 24)
    bold = ImageFont.truetype(str(FONTS / "DejaVuSerif-Bold.ttf"), 30)
    y = 130
    for block in blocks(page):
        font = body if len(block) > 60 or block[0].isdigit() else bold
        for line in wrap(block, width - 260, font.getlength):
            draw.text((130, y), line, font=font, fill=28)
            y += 38
        y += 20
    image = image.rotate(noise.uniform(-0.5, 0.5), resample=Image.Resampling.BICUBIC, fillcolor=246)
    image = image.filter(ImageFilter.GaussianBlur(0.6))
    pixels = image.load()
    for _ in range(1500):
        pixels[noise.randrange(width), noise.randrange(height)] = noise.randrange(120, 220)
    return image


# PDF, written by hand: objects, a table of their offsets, a trailer.


def pdf(objects):
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def stream(dictionary, data):
    return b"<< %s /Length %d >>\nstream\n" % (dictionary, len(data)) + data + b"\nendstream"


def document(pages):
    """A PDF of pages, each a pair: the dictionary of its resources and the stream that paints it; extra objects
    of a page are numbered after it."""
    kids, objects = [], [b"<< /Type /Catalog /Pages 2 0 R >>", b""]
    for extras, resources, content in pages:
        first = len(objects) + 1
        objects += [
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents %d 0 R /Resources << %s >> >>"
            % (*A4_POINTS, first + 1, resources % (first + 2)),
            stream(b"", content),
            *extras,
        ]
        kids.append(b"%d 0 R" % first)
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(kids), len(kids))
    return pdf(objects)


def scanned_pdf(images):
    pages = []
    for image in images:
        jpeg = io.BytesIO()
        image.save(jpeg, "JPEG", quality=45, optimize=True)
        picture = stream(
            b"/Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceGray /BitsPerComponent 8"
            b" /Filter /DCTDecode" % image.size,
            jpeg.getvalue(),
        )
        pages.append(([picture], b"/XObject << /Scan %d 0 R >>", b"q %d 0 0 %d 0 0 cm /Scan Do Q" % A4_POINTS))
    return document(pages)


def text_pdf(texts):
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    pages = []
    for text in texts:
        lines = []
        for block in blocks(text):
            lines += [*wrap(block, 88, len), ""]
        shown = b"".join(b"(%s) Tj T*\n" % re.sub(rb"([()\\])", rb"\\\1", line.encode("cp1252")) for line in lines)
        pages.append(([font], b"/Font << /F1 %d 0 R >>", b"BT /F1 11 Tf 15 TL 60 780 Td\n" + shown + b"ET"))
    return document(pages)


# Office documents: the fewest parts that hold text, in the places where Office puts it.

TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
RELS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
DRAW = "http://schemas.openxmlformats.org/drawingml/2006/main"
SHOW = "http://schemas.openxmlformats.org/presentationml/2006/main"
MAIN = "application/vnd.openxmlformats-officedocument"


def package(path, main, overrides, parts):
    declared = "".join(
        f'<Override PartName="/{name}" ContentType="{MAIN}.{kind}+xml"/>' for name, kind in overrides.items()
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{TYPES}"><Default Extension="rels" ContentType='
        f'"application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" '
        f'ContentType="application/xml"/>{declared}</Types>',
        "_rels/.rels": relations([("rId1", "officeDocument", main)]),
        **parts,
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n' + text)


def relations(items):
    inner = "".join(f'<Relationship Id="{i}" Type="{OFFICE}/{kind}" Target="{target}"/>' for i, kind, target in items)
    return f'<Relationships xmlns="{RELS}">{inner}</Relationships>'


def docx(path, texts):
    body = "".join(
        f'<w:p><w:r><w:t xml:space="preserve">{escape(block)}</w:t></w:r></w:p>'
        for text in texts
        for block in blocks(text)
    )
    table = "".join(
        "<w:tr>" + "".join(f"<w:tc><w:p><w:r><w:t>{cell}</w:t></w:r></w:p></w:tc>" for cell in row) + "</w:tr>"
        for row in [("Stage", "Place", "Product"), ("Calvin cycle", "stroma", "glyceraldehyde &amp; sugar")]
    )
    note = '<w:p><w:r><w:t>Seminar</w:t><w:tab/><w:t>Room 12</w:t><w:footnoteReference w:id="1"/></w:r></w:p>'
    gone = "<w:p><w:del><w:r><w:delText>struck out by the lecturer</w:delText></w:r></w:del></w:p>"
    package(
        path,
        "word/document.xml",
        {"word/document.xml": "wordprocessingml.document.main", "word/footnotes.xml": "wordprocessingml.footnotes"},
        {
            "word/document.xml": f'<w:document xmlns:w="{WORD}"><w:body>{body}<w:tbl>{table}</w:tbl>{note}{gone}'
            "</w:body></w:document>",
            "word/footnotes.xml": f'<w:footnotes xmlns:w="{WORD}"><w:footnote w:id="1"><w:p><w:r><w:t>Bring your '
            "own leaf.</w:t></w:r></w:p></w:footnote></w:footnotes>",
            "word/_rels/document.xml.rels": relations([("rId1", "footnotes", "footnotes.xml")]),
        },
    )


def shape(lines):
    paragraphs = "".join(f"<a:p><a:r><a:t>{escape(line)}</a:t></a:r></a:p>" for line in lines)
    return (
        '<p:sp><p:nvSpPr><p:cNvPr id="2" name="Text"/><p:cNvSpPr/><p:nvPr/></p:nvSpPr><p:spPr/>'
        f"<p:txBody><a:bodyPr/>{paragraphs}</p:txBody></p:sp>"
    )


def tree(tag, shapes):
    group = '<p:nvGrpSpPr><p:cNvPr id="1" name=""/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/>'
    return (
        f'<p:{tag} xmlns:p="{SHOW}" xmlns:a="{DRAW}" xmlns:r="{OFFICE}"><p:cSld><p:spTree>{group}{shapes}'
        f"</p:spTree></p:cSld></p:{tag}>"
    )


def pptx(path):
    slides = [
        ["Photosynthesis", "How a leaf turns light into sugar"],
        ["The light reactions", "Photosystem II splits water", "ATP synthase turns like a turbine"],
        ["The Calvin cycle", "Rubisco joins carbon dioxide to a sugar", "Three reactions each second"],
    ]
    # The second slide is stored as slide3.xml and the third as slide2.xml: the order is in presentation.xml only.
    files = ["slide1.xml", "slide3.xml", "slide2.xml"]
    ids = "".join(f'<p:sldId id="{256 + i}" r:id="rId{i + 1}"/>' for i in range(len(slides)))
    parts = {
        "ppt/presentation.xml": f'<p:presentation xmlns:p="{SHOW}" xmlns:a="{DRAW}" xmlns:r="{OFFICE}"><p:sldIdLst>'
        f'{ids}</p:sldIdLst><p:sldSz cx="9144000" cy="6858000"/><p:notesSz cx="6858000" cy="9144000"/>'
        "</p:presentation>",
        "ppt/_rels/presentation.xml.rels": relations(
            [(f"rId{i + 1}", "slide", f"slides/{name}") for i, name in enumerate(files)]
        ),
        "ppt/notesSlides/notesSlide1.xml": tree("notes", shape(["Show the spinach leaf now."])),
        "ppt/slides/_rels/slide3.xml.rels": relations([("rId1", "notesSlide", "../notesSlides/notesSlide1.xml")]),
    }
    overrides = {"ppt/presentation.xml": "presentationml.presentation.main"}
    for name, lines in zip(files, slides):
        parts[f"ppt/slides/{name}"] = tree("sld", shape(lines[:1]) + shape(lines[1:]))
        overrides[f"ppt/slides/{name}"] = "presentationml.slide"
    overrides["ppt/notesSlides/notesSlide1.xml"] = "presentationml.notesSlide"
    package(path, "ppt/presentation.xml", overrides, parts)


def main():
    scans = [scan(page, number) for number, page in enumerate(PAGES, 1)]
    scans[0].quantize(8).save(HERE / "scanned-page.png", optimize=True, dpi=(SCAN_DPI, SCAN_DPI))
    small = scans[0].crop((100, 100, 1200, 560))
    small.quantize(8).save(HERE / "title.gif", optimize=True)
    small.save(HERE / "title.webp", quality=40)
    small.rotate(-90, expand=True).save(HERE / "title-sideways.jpg", quality=40)
    (HERE / "scanned.pdf").write_bytes(scanned_pdf(scans))
    lecture = text_pdf(PAGES)
    (HERE / "lecture.pdf").write_bytes(lecture)
    (HERE / "truncated.pdf").write_bytes(lecture[: len(lecture) * 3 // 5])
    subprocess.run(
        ["qpdf", "--static-id", "--static-aes-iv", "--encrypt", "secret", "owner", "256", "--", HERE / "lecture.pdf", HERE / "encrypted.pdf"],
        check=True,
    )
    docx(HERE / "notes.docx", PAGES)
    pptx(HERE / "slides.pptx")


if __name__ == "__main__":
    main()
