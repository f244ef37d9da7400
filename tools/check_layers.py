#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that the folders of src/ depend on each other only downwards.

  tools/check_layers.py [TOP]     exit 1 and one line per violation

A file may include its own folder and folders of lower levels: never a higher one, never a sibling.
An outside library is included by its owning folder only.  A header in <> that is in none of the
tables below is an error too, so that a new library gets an owner before it gets users.  What the
CMakeLists.txt of a folder declares (DEPS, LIBS) is held against the same tables.  Folder names
that would stand in for system headers on an include path are refused.

ARCHITECTURE.md shows the table of levels to people; the test compares the two.
"""
import fnmatch
import pathlib
import re
import sys

LEVELS = (
    ("base",),
    ("flow", "metrics", "auth", "config", "json"),
    ("os", "filter", "store", "wire", "rpc", "http", "text"),
    ("source", "enrich", "export", "sink", "query", "web"),
    ("agent", "collector", "cli"),
    ("bin",),
)

# Headers of outside libraries, and the folders that may include them.  The first match decides.
OWNERS = (
    ("xxhash.h", "base"),
    ("uuid/*", "flow"),
    ("openssl/sha.h", "flow auth"),
    ("openssl/evp.h", "flow auth"),
    ("openssl/*", "auth"),
    ("yaml.h", "config"),
    ("jansson.h", "json"),
    ("libmnl/*", "os"),
    ("libnetfilter_conntrack/*", "os"),
    ("nftables/*", "os"),
    ("linux/*", "os"),
    ("protobuf-c/*", "wire"),
    ("*.pb-c.h", "wire"),
    ("grpc/*", "rpc"),
    ("curl/*", "http"),
    ("duckdb.h", "sink"),
    ("microhttpd.h", "web"),
    ("systemd/*", "agent collector"),
)

# The same for what a CMakeLists.txt links.
LIBRARIES = {
    "PkgConfig::XXHASH": "base",
    "PkgConfig::UUID": "flow",
    "PkgConfig::CRYPTO": "flow auth",
    "PkgConfig::YAML": "config",
    "PkgConfig::JANSSON": "json",
    "PkgConfig::MNL": "os",
    "PkgConfig::NFCT": "os",
    "PkgConfig::NFTABLES": "os",
    "PkgConfig::PROTOBUF_C": "wire",
    "PkgConfig::GRPC": "rpc",
    "PkgConfig::CURL": "http",
    "PkgConfig::MICROHTTPD": "web",
    "PkgConfig::SYSTEMD": "agent collector",
    "DuckDB::duckdb": "sink",
}

# The C library: everybody's.
LIBC = set(
    """assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal
    stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string strings tgmath
    threads time uchar wchar wctype alloca byteswap dirent dlfcn endian err fcntl fnmatch ftw getopt
    glob grp ifaddrs langinfo libgen malloc netdb poll pthread pwd regex sched semaphore spawn
    syslog termios unistd utime wordexp arpa/inet net/if netinet/icmp6 netinet/in netinet/ip
    netinet/ip6 netinet/ip_icmp netinet/tcp netinet/udp sys/auxv sys/epoll
    sys/eventfd sys/file sys/inotify sys/ioctl sys/mman sys/mount sys/param sys/prctl sys/random
    sys/resource sys/select sys/sendfile sys/signalfd sys/socket sys/stat sys/statfs sys/statvfs
    sys/syscall sys/sysinfo sys/sysmacros sys/time sys/timerfd sys/types sys/uio sys/un sys/utsname
    sys/vfs sys/wait""".split()
)

# The installed API: each header stands at the level of the folder that implements it.
PUBLIC = {"error.h": "base", "version.h": "base", "event.h": "flow", "agent.h": "agent"}

# A folder of one of these names on an include path would capture <name/…>.
SHADOWS = set(
    """arpa asm asm-generic bits curl google grpc gnu libmnl libnetfilter_conntrack linux net
    netinet netlink nftables openssl protobuf-c rpcsvc sys systemd uuid""".split()
)

LEVEL_OF = {folder: level for level, folders in enumerate(LEVELS) for folder in folders}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*(?:include|include_next|import)[ \t]*([<"])([^>"]+)[>"]')
HAS_INCLUDE = re.compile(r'__has_include[ \t]*\([ \t]*([<"])([^>"]+)[>"]')


def owners_of(header):
    for pattern, folders in OWNERS:
        if fnmatch.fnmatchcase(header, pattern):
            return folders.split()
    return None


def may_use(folder, used):
    return used == folder or LEVEL_OF[used] < LEVEL_OF[folder]


def wrong_direction(folder, used):
    kind = "sideways" if LEVEL_OF[used] == LEVEL_OF[folder] else "upward"
    return (
        f"{kind}: {folder} (level {LEVEL_OF[folder]}) may not use "
        f"{used} (level {LEVEL_OF[used]})"
    )


def without_comments(text):
    """Block comments become blank, line by line, so that line numbers stay."""
    return re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S)


def judge(folder, quote, header):
    """What is wrong with an include in src/FOLDER, or None."""
    first = header.split("/")[0]
    if first == "flowtrail" and header.endswith(".h") and not header.endswith(".pb-c.h"):
        implementer = PUBLIC.get(header.split("/", 1)[1])
        if implementer is None:
            return f"<{header}> has no level (PUBLIC in tools/check_layers.py)"
        return None if may_use(folder, implementer) else wrong_direction(folder, implementer)
    owners = owners_of(header)
    if owners is not None:
        if folder in owners:
            return None
        return f"foreign: {header} belongs to {' and '.join(owners)}, not to {folder}"
    if quote == '"':
        if "/" not in header or first not in LEVEL_OF:
            return f'"{header}": project headers are named from src/, as in "base/error.h"'
        return None if may_use(folder, first) else wrong_direction(folder, first)
    if first in LEVEL_OF:
        return f'<{header}>: project headers are included with quotes'
    if header.endswith(".h") and header[:-2] in LIBC:
        return None
    return f"<{header}> has no owner (OWNERS in tools/check_layers.py)"


def check_source(path, folder, shown):
    for number, line in enumerate(
        without_comments(path.read_text(encoding="utf-8", errors="replace")).splitlines(), 1
    ):
        for match in (INCLUDE.match(line), HAS_INCLUDE.search(line)):
            problem = judge(folder, *match.groups()) if match else None
            if problem:
                yield f"{shown}:{number}: {problem}"


def check_cmake(path, folder, shown):
    text = re.sub(r"#.*", "", path.read_text(encoding="utf-8"))
    for call in re.findall(r"\bft_module\s*\(([^)]*)\)", text):
        section = None
        for word in call.split():
            if word in ("SOURCES", "DEPS", "LIBS"):
                section = word
            elif section == "DEPS" and word not in LEVEL_OF:
                yield f"{shown}: DEPS names {word}, which is no folder"
            elif section == "DEPS" and not may_use(folder, word):
                yield f"{shown}: {wrong_direction(folder, word)}"
    for library in re.findall(r"\b\w+::\w+", text):
        owners = LIBRARIES.get(library, "").split()
        if folder not in owners:
            belongs = " and ".join(owners) or "no folder (LIBRARIES in tools/check_layers.py)"
            yield f"{shown}: foreign: {library} belongs to {belongs}, not to {folder}"


def check_names(top):
    """Folders that an -I could make stand in for system headers, and the -I itself."""
    for parent in ("src", "include", "tests", "proto"):
        for path in sorted((top / parent).glob("*/")):
            if path.name in SHADOWS and (parent, path.name) != ("proto", "grpc"):
                yield f"{parent}/{path.name}: the name shadows system headers <{path.name}/...>"
    for path in [top / "CMakeLists.txt", *sorted((top / "cmake").glob("*.cmake")),
                 *sorted((top / "src").rglob("CMakeLists.txt"))]:
        if not path.is_file():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if re.search(r"-I\s*\S*[/}]src\b", line) or re.search(
                r"include_directories\s*\(.*(SOURCE_DIR\}/src|\bsrc)[\"\s/)]", line
            ):
                yield f"{path.relative_to(top)}:{number}: src/ goes on the path with -iquote only"


def check(top):
    """Yields one line per violation in the tree below TOP."""
    yield from check_names(top)
    for folder_path in sorted(p for p in (top / "src").glob("*") if p.is_dir()):
        folder = folder_path.name
        if folder not in LEVEL_OF:
            yield f"src/{folder}: has no level (LEVELS in tools/check_layers.py)"
            continue
        for path in sorted(folder_path.rglob("*")):
            shown = path.relative_to(top)
            if path.suffix in (".c", ".h", ".cc", ".cpp") and path.is_file():
                yield from check_source(path, folder, shown)
            elif path.name == "CMakeLists.txt":
                yield from check_cmake(path, folder, shown)
    for path in sorted((top / "include").rglob("*.h")):
        implementer = PUBLIC.get(path.name)
        if implementer is None:
            yield f"{path.relative_to(top)}: has no level (PUBLIC in tools/check_layers.py)"
            continue
        for line in check_source(path, implementer, path.relative_to(top)):
            yield line


def main():
    top = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1])
    if not (top / "src").is_dir():
        sys.exit(f"check_layers: no src/ in {top}")
    problems = list(check(top))
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
