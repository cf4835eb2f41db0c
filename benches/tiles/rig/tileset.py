"""The tiles of the bench box: which there are, what is in them, and how they come to lie in a folder."""

import functools
import hashlib
import math
import os
import struct
import zlib
from concurrent.futures import ProcessPoolExecutor

BBOX = (106.5, -6.5, 107.05, -6.0)

# How many tiles there are from zoom 0 to this one; whoever counts otherwise covers the box otherwise.
COUNTS = {15: 3_226, 16: 12_518, 17: 49_502}

# 256 x 256 pixels of four bits: a filter byte and 128 bytes a row.
ROW, ROWS = 129, 256
SMALLEST, LARGEST = 5_100, 14_900


def tiles(last_zoom):
    """Every tile `(z, x, y)` of the box from zoom 0, zoom by zoom."""
    found = []
    for z in range(last_zoom + 1):
        (left, top), (right, bottom) = _at(BBOX[0], BBOX[3], z), _at(BBOX[2], BBOX[1], z)
        found += [(z, x, y) for x in range(int(left), math.ceil(right)) for y in range(int(top), math.ceil(bottom))]
    expected = COUNTS.get(last_zoom)
    if expected is not None and len(found) != expected:
        raise AssertionError(f"the box has {len(found)} tiles up to zoom {last_zoom}, not {expected}")
    return found


def _at(lon, lat, z):
    """Where a place lies in the grid of a zoom."""
    n = 2**z
    return (lon + 180) / 360 * n, (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * n


def png(tile):
    """A valid PNG that no other tile has: noise in its upper rows, nothing in the lower ones, 5.1 to 14.9 KB.

    The noise is stored and the rest a few bytes of deflate, so that making it costs less than writing it.
    """
    seed = hashlib.shake_128("{}/{}/{}".format(*tile).encode())
    size = SMALLEST + int.from_bytes(seed.digest(4), "big") % (LARGEST - SMALLEST + 1)
    # Signature, header, the frame of the one data chunk, zlib's header and sum, the end: what is around the noise.
    around = 8 + 25 + 12 + 2 + 5 + 4 + 12
    noise = bytearray(seed.digest(size - around - 40))
    noise[::ROW] = bytes(len(noise[::ROW]))  # the filter of each row: none
    blank, deflated = _blank(ROW * ROWS - len(noise))
    length = len(noise)
    stored = b"\x00" + struct.pack("<HH", length, length ^ 0xFFFF) + noise
    data = b"\x78\x01" + stored + deflated + struct.pack(">I", zlib.adler32(blank, zlib.adler32(noise)))
    header = struct.pack(">IIBBBBB", 256, ROWS, 4, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


@functools.lru_cache(maxsize=None)
def _blank(length):
    """So many zero bytes, and they deflated as the last blocks of a stream."""
    blank = bytes(length)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return blank, deflate.compress(blank) + deflate.flush()


def write(folder, wanted):
    """Writes the tiles as `folder/z/x/y.png`, and says how many bytes they have."""
    columns = {}
    for z, x, y in wanted:
        columns.setdefault((z, x), []).append(y)
    work = [(folder, z, x, ys) for (z, x), ys in columns.items()]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        return sum(pool.map(_write_column, work, chunksize=8))


def _write_column(work):
    folder, z, x, ys = work
    column = os.path.join(folder, str(z), str(x))
    os.makedirs(column, exist_ok=True)
    total = 0
    for y in ys:
        data = png((z, x, y))
        total += len(data)
        with open(os.path.join(column, f"{y}.png"), "wb") as file:
            file.write(data)
    return total
