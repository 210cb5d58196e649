"""The fifty categories of DeepFashion, and where the landmarks of each type of clothes go.

Source: Liu et al. 2016, Category and Attribute Prediction Benchmark. The readers take names and
types from the files; the counts are for look-alikes.
"""

from typing import NamedTuple

NUM_CATEGORIES = 50
UPPER, LOWER, FULL = 1, 2, 3  # clothes types, as the files number them

LANDMARK_NAMES = (
    "left collar",
    "right collar",
    "left sleeve",
    "right sleeve",
    "left waistline",
    "right waistline",
    "left hem",
    "right hem",
)
"""Left is the left of the picture."""

MIRRORED_LANDMARKS = ((0, 1), (2, 3), (4, 5), (6, 7))

SLOTS_OF_TYPE = {UPPER: (0, 1, 2, 3, 6, 7), LOWER: (4, 5, 6, 7), FULL: (0, 1, 2, 3, 4, 5, 6, 7)}
"""Which landmark each of a row's is, in the row's order."""


class Category(NamedTuple):
    """One category; its id is its place in :data:`CATEGORIES`, from 1.

    Attributes:
        name: As the files have it.
        clothes_type: ``UPPER``, ``LOWER`` or ``FULL``.
        num_images: Images of all splits of the released set.
    """

    name: str
    clothes_type: int
    num_images: int


def _of_type(clothes_type: int, **num_images: int) -> tuple[Category, ...]:
    return tuple(
        Category(name.replace("_", "-"), clothes_type, count) for name, count in num_images.items()
    )


CATEGORIES = (
    *_of_type(
        UPPER,
        Anorak=160,
        Blazer=7495,
        Blouse=24557,
        Bomber=309,
        Button_Down=330,
        Cardigan=13311,
        Flannel=324,
        Halter=17,
        Henley=716,
        Hoodie=4048,
        Jacket=10467,
        Jersey=748,
        Parka=676,
        Peacoat=97,
        Poncho=791,
        Sweater=13123,
        Tank=15429,
        Tee=36887,
        Top=10078,
        Turtleneck=146,
    ),
    *_of_type(
        LOWER,
        Capris=77,
        Chinos=527,
        Culottes=486,
        Cutoffs=1669,
        Gauchos=49,
        Jeans=7076,
        Jeggings=594,
        Jodhpurs=45,
        Joggers=4416,
        Leggings=5013,
        Sarong=32,
        Shorts=19666,
        Skirt=14773,
        Sweatpants=3048,
        Sweatshorts=1106,
        Trunks=386,
    ),
    *_of_type(
        FULL,
        Caftan=54,
        Cape=0,
        Coat=2120,
        Coverup=17,
        Dress=72158,
        Jumpsuit=6153,
        Kaftan=126,
        Kimono=2294,
        Nightdress=0,
        Onesie=70,
        Robe=150,
        Romper=7408,
        Shirtdress=0,
        Sundress=0,
    ),
)
