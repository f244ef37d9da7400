# SPDX-License-Identifier: Apache-2.0
"""Stands in for the build tool of DuckDB's Python package while pip downloads its source.

pip asks a source archive for its metadata before it hands it over, and for that would fetch and
run build tools that nobody has pinned.  All that is wanted is one header out of the archive.
"""
