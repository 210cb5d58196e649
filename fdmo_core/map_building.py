"""Opens the maps of a run's splits, from caches where the frozen prefix can be cached."""

from functools import partial
from typing import Any

from fdmo_core.augmentation import AugmentationConfig
from fdmo_core.batches import Batches
from fdmo_core.component_errors import during
from fdmo_core.compute import Compute
from fdmo_core.config import Run
from fdmo_core.journal import Journal
from fdmo_core.maps import CachedMaps, LiveMaps, Maps
from fdmo_core.network import Network
from fdmo_core.prefix import digest_stages
from fdmo_core.prefix_cache import CacheSource, open_caches
from fdmo_core.samples import Splits

NO_CHANGE = AugmentationConfig(mirror=False, rotation=0, zoom=0, shift=0, brightness=0, contrast=0)
PREPROCESSING_VERSION = 1  # raise it when fdmo_core.preprocessing changes a pixel


@during("reading images")
def open_maps(
    run: Run,
    splits: Splits,
    model: Network,
    *,
    compute: Compute,
    journal: Journal,
) -> dict[str, Maps]:
    """Return the maps of each split by name.

    Args:
        run: Loading, augmentation and cache.
        splits: The opened data set.
        model: With the weights that its frozen prefix keeps.
        compute: Device, precision and processes.
        journal: Shown the progress, told what is cached.
    """
    cached = _cached_splits(run, splits, model, journal)
    loading = run.core.loading
    batches = {
        name: Batches(
            split,
            image_size=run.image_size,
            config=loading.model_copy(update={"memory_mib": 0}) if name in cached else loading,
            pin_memory=compute.device.type == "cuda",
            feature_dim=splits.feature_dim,
        )
        for name, split in splits.named().items()
    }
    live = {
        name: LiveMaps(
            one,
            model,
            compute,
            augmentation=NO_CHANGE if splits.feature_dim else run.core.augmentation,
            mirrored_landmarks=splits.mirrored_landmarks,
        )
        for name, one in batches.items()
    }
    prepare_images(list(batches.values()), journal)
    sources = {
        name: _cache_source(name, run, splits, model, live[name], compute) for name in cached
    }
    stores = open_caches(
        sources,
        run.core.cache,
        compute=compute,
        journal=journal,
        checkpoint=run.core.checkpoint,
    )
    return {
        name: CachedMaps(stores[name], one, compute, is_augmented="views" in sources[name].origin)
        if name in stores
        else one
        for name, one in live.items()
    }


def prepare_images(batches: list[Batches], journal: Journal) -> None:
    """Prepare the images of all splits that fit into memory, with progress."""
    kept = [one for one in batches if one.fits_memory and len(one)]
    total, done = sum(map(len, kept)), 0
    for one in kept:
        for count in one.keep():
            done += count
            journal.progress("images", done, total)


def _cached_splits(run: Run, splits: Splits, model: Network, journal: Journal) -> list[str]:
    """Return the names of the splits whose maps are cached."""
    if not model.shared_stages or not run.core.cache.folder:
        return []
    filled = [name for name, split in splits.named().items() if len(split.labels)]
    views = run.core.cache.views
    if not run.core.augmentation.any():
        return filled
    if views:
        journal.notice(
            f"{views} augmented view(s) of each training image are cached; phase 1 sees no other "
            f"ones. The dictionary is built from images without augmentation."
        )
        return filled
    journal.notice(
        "Training images are augmented anew in each epoch, so their maps are not cached; set "
        "cache.views to keep that many augmented views of each."
    )
    return [name for name in filled if name != "train"]


def _cache_source(
    name: str,
    run: Run,
    splits: Splits,
    model: Network,
    live: LiveMaps,
    compute: Compute,
) -> CacheSource:
    """Return what is cached of a split, and all that decides it."""
    origin: dict[str, Any] = {
        "prefix": digest_stages(model.shared_stages),
        "data": splits.digest,
        "split": name,
        "image_size": run.image_size,
        "preprocessing": PREPROCESSING_VERSION,
        "computed_in": compute.config.precision,
        "kept_in": run.core.cache.precision,
    }
    if name != "train" or not run.core.augmentation.any():
        return CacheSource(name, origin, len(live), live.plain)
    views, seed = run.core.cache.views, run.core.seed
    augmented = {
        "views": views,
        "augmentation": run.core.augmentation.model_dump(mode="json"),
        "mirrored_landmarks": [list(pair) for pair in splits.mirrored_landmarks],
        "seed": seed,
    }
    return CacheSource(
        name, {**origin, **augmented}, views * len(live), partial(live.views, seed=seed)
    )
