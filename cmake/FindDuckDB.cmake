# DuckDB's C library, which Debian does not package: imported target DuckDB::duckdb.
#   FT_DUCKDB_DIR     where it is or shall be: include/duckdb.h, lib/libduckdb.so
#   FT_DUCKDB_FETCH   bring it there with third_party/duckdb/fetch.sh when configuring
set(FT_DUCKDB_DIR "${PROJECT_SOURCE_DIR}/build/third_party/duckdb" CACHE PATH
    "DuckDB: include/duckdb.h and lib/libduckdb.so")
option(FT_DUCKDB_FETCH "Fetch DuckDB when it is not in FT_DUCKDB_DIR" ON)

if(FT_DUCKDB_FETCH)
  execute_process(COMMAND "${PROJECT_SOURCE_DIR}/third_party/duckdb/fetch.sh" "${FT_DUCKDB_DIR}"
                  RESULT_VARIABLE duckdb_fetch_result)
  if(NOT duckdb_fetch_result EQUAL 0)
    message(FATAL_ERROR "DuckDB could not be fetched (reason above).  Put include/duckdb.h and "
            "lib/libduckdb.so into FT_DUCKDB_DIR and set FT_DUCKDB_FETCH=OFF to go without.")
  endif()
endif()

# Only this directory: a DuckDB of another version elsewhere would not be what was tested.
find_path(DuckDB_INCLUDE_DIR duckdb.h PATHS "${FT_DUCKDB_DIR}/include" NO_DEFAULT_PATH)
find_library(DuckDB_LIBRARY duckdb PATHS "${FT_DUCKDB_DIR}/lib" NO_DEFAULT_PATH)
set(DuckDB_VERSION "")
if(EXISTS "${FT_DUCKDB_DIR}/VERSION")
  file(STRINGS "${FT_DUCKDB_DIR}/VERSION" DuckDB_VERSION LIMIT_COUNT 1)
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(DuckDB REQUIRED_VARS DuckDB_LIBRARY DuckDB_INCLUDE_DIR
                                  VERSION_VAR DuckDB_VERSION)

if(DuckDB_FOUND AND NOT TARGET DuckDB::duckdb)
  # Global: the programs that link it are made in other directories.
  add_library(DuckDB::duckdb SHARED IMPORTED GLOBAL)
  set_target_properties(DuckDB::duckdb PROPERTIES
    IMPORTED_LOCATION "${DuckDB_LIBRARY}"
    IMPORTED_SONAME libduckdb.so
    INTERFACE_INCLUDE_DIRECTORIES "${DuckDB_INCLUDE_DIR}")
endif()
