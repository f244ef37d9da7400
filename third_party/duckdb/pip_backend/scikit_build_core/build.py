# SPDX-License-Identifier: Apache-2.0
"""The hooks that DuckDB's own build backend imports; only the metadata hook does anything."""
import os
import shutil


def _not_for_building(*_args, **_kwargs):
    raise RuntimeError("this stand-in only serves `pip download`")


def _requires_nothing(_config_settings=None):
    return []


build_editable = build_sdist = build_wheel = _not_for_building
prepare_metadata_for_build_editable = _not_for_building
get_requires_for_build_editable = get_requires_for_build_sdist = _requires_nothing
get_requires_for_build_wheel = _requires_nothing


def prepare_metadata_for_build_wheel(metadata_directory, _config_settings=None):
    """Passes on the metadata that the archive carries."""
    name = "duckdb.dist-info"
    os.makedirs(os.path.join(metadata_directory, name))
    shutil.copyfile("PKG-INFO", os.path.join(metadata_directory, name, "METADATA"))
    return name
