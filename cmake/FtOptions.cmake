# What every target is compiled with: one interface library, ft_options.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

add_library(ft_options INTERFACE)
target_include_directories(ft_options INTERFACE "${PROJECT_SOURCE_DIR}/include")
target_compile_definitions(ft_options INTERFACE _GNU_SOURCE
                           FT_VERSION="${PROJECT_VERSION}")
# -iquote, not -I: a folder of ours must never stand in for a system header.
target_compile_options(ft_options INTERFACE
  -iquote "${PROJECT_SOURCE_DIR}/src"
  -Wall -Wextra -Wconversion -Wshadow -Wundef -Wmissing-prototypes -Wstrict-prototypes
  -Wpointer-arith -Wcast-align -Wformat=2 -Wvla -Wimplicit-fallthrough
  -fno-common -fstack-protector-strong
  $<$<BOOL:${FT_WERROR}>:-Werror>
  $<$<C_COMPILER_ID:Clang>:-Wthread-safety>
  # Texts for people are cut to their buffers on purpose.
  $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation>
  $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=2>)
target_link_libraries(ft_options INTERFACE Threads::Threads)
target_link_options(ft_options INTERFACE -Wl,-z,relro,-z,now)
if(FT_SANITIZE)
  target_compile_options(ft_options INTERFACE -fsanitize=${FT_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(ft_options INTERFACE -fsanitize=${FT_SANITIZE})
  if(FT_SANITIZE MATCHES undefined)
    target_compile_options(ft_options INTERFACE -fno-sanitize-recover=undefined)
  endif()
endif()
if(FT_FUZZ)
  target_compile_options(ft_options INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(ft_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
# assert() stays in release: it guards against programmers' errors and is cheap.
foreach(config RELEASE RELWITHDEBINFO)
  string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_${config} "${CMAKE_C_FLAGS_${config}}")
endforeach()
