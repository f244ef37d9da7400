# Libraries from the distribution.  Each is used by exactly one folder (tools/check_layers.py).
find_package(PkgConfig REQUIRED)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)                  # base
pkg_check_modules(UUID REQUIRED IMPORTED_TARGET uuid)                         # flow
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto)                  # flow (SHA-1), auth
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)                     # config
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)                   # json
pkg_check_modules(MNL REQUIRED IMPORTED_TARGET libmnl)                        # os
pkg_check_modules(NFCT REQUIRED IMPORTED_TARGET libnetfilter_conntrack)       # os
pkg_check_modules(NFTABLES REQUIRED IMPORTED_TARGET libnftables)              # os
pkg_check_modules(PROTOBUF_C REQUIRED IMPORTED_TARGET libprotobuf-c)          # wire
pkg_check_modules(GRPC REQUIRED IMPORTED_TARGET grpc)                         # rpc
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)                      # http
pkg_check_modules(MICROHTTPD REQUIRED IMPORTED_TARGET libmicrohttpd)          # web
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)                     # tests
pkg_check_modules(FUSE3 REQUIRED IMPORTED_TARGET fuse3)                        # tests
find_program(PROTOC_C protoc-c REQUIRED)
