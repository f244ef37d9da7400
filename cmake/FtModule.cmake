# One static library per folder of src/, with declared dependencies, and one program per test.

# ft_module(NAME SOURCES a.c … [DEPS base …] [LIBS imported targets …])
function(ft_module name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;DEPS;LIBS")
  list(TRANSFORM arg_SOURCES PREPEND "${PROJECT_SOURCE_DIR}/src/${name}/")
  add_library(ft_${name} STATIC ${arg_SOURCES})
  list(TRANSFORM arg_DEPS PREPEND "ft_")
  target_link_libraries(ft_${name} PUBLIC ft_options ${arg_DEPS} PRIVATE ${arg_LIBS})
endfunction()

# ft_unit_test(MODULE NAME…): tests/unit/MODULE/NAME_test.c, linked with that module alone.
function(ft_unit_test module)
  foreach(name IN LISTS ARGN)
    set(target unit_${module}_${name})
    add_executable(${target} "${PROJECT_SOURCE_DIR}/tests/unit/${module}/${name}_test.c")
    target_link_libraries(${target} PRIVATE ft_${module} ft_test)
    add_test(NAME unit.${module}.${name} COMMAND ${target})
    set_tests_properties(unit.${module}.${name} PROPERTIES LABELS unit TIMEOUT 120)
  endforeach()
endfunction()

# ft_fuzz_target(MODULE NAME): tests/fuzz/NAME_fuzz.c.  With FT_FUZZ a libFuzzer program, else a
# program that replays the corpus in tests/fuzz/corpus/NAME as a plain test.
function(ft_fuzz_target module name)
  add_executable(fuzz_${name} "${PROJECT_SOURCE_DIR}/tests/fuzz/${name}_fuzz.c")
  target_link_libraries(fuzz_${name} PRIVATE ft_${module} ft_test ${ARGN})
  if(FT_FUZZ)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(fuzz_${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests/fuzz/replay_main.c")
    add_test(NAME fuzz.${name}
             COMMAND fuzz_${name} "${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name}")
    set_tests_properties(fuzz.${name} PROPERTIES LABELS fuzz TIMEOUT 120)
  endif()
endfunction()
