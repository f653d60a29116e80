# SPDX-License-Identifier: Apache-2.0
"""What bench/run is made of: figures (what is measured), measure (running programs in
pairs), machine (where it ran), report (tables and files), roofline (where a step goes), docs
(tables of the pages)."""
