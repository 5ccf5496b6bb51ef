# How every folder of the tree becomes a target.
#
#   vireo_library(USES a b ...  LIBS pkg ...)   in src/<layer>/<lib>/CMakeLists.txt -> target <layer>_<lib>
#   vireo_unit_test(USES a b ...)               in tests/unit/<layer>/<lib>/CMakeLists.txt -> ctest "unit <layer>/<lib>"
#   vireo_fuzzer(name file.cpp USES a b ...)    in tests/fuzz
#
# USES is the complete list of sibling targets a folder may include from; tools/lint proves it.

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()

add_library(vireo_options INTERFACE)
target_include_directories(vireo_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(vireo_options INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wcast-align -Wundef -Werror
  -fno-strict-aliasing -fvisibility=hidden)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(vireo_options INTERFACE -Wno-unused-command-line-argument)
endif()
if(VIREO_SANITIZE)
  # vptr checks need every type_info at link time; alignment stays on: guest data goes through memcpy.
  target_compile_options(vireo_options INTERFACE -fsanitize=address,undefined -fno-sanitize=vptr -fno-omit-frame-pointer
    -fno-sanitize-recover=undefined)
  target_link_options(vireo_options INTERFACE -fsanitize=address,undefined)
endif()
if(VIREO_FUZZ)
  target_compile_options(vireo_options INTERFACE -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize=vptr,function
    -fno-sanitize-recover=undefined)
  target_link_options(vireo_options INTERFACE -fsanitize=address,undefined)
endif()

function(vireo_library)
  cmake_parse_arguments(ARG "" "" "USES;LIBS" ${ARGN})
  file(RELATIVE_PATH folder ${CMAKE_SOURCE_DIR}/src ${CMAKE_CURRENT_SOURCE_DIR})
  string(REPLACE "/" "_" target ${folder})
  file(GLOB sources CONFIGURE_DEPENDS *.cpp)
  if(sources)
    add_library(${target} STATIC ${sources})
    target_link_libraries(${target} PUBLIC vireo_options ${ARG_USES} ${ARG_LIBS})
  else()
    add_library(${target} INTERFACE)
    target_link_libraries(${target} INTERFACE vireo_options ${ARG_USES} ${ARG_LIBS})
  endif()
endfunction()

function(vireo_unit_test)
  cmake_parse_arguments(ARG "" "" "USES;LIBS" ${ARGN})
  file(RELATIVE_PATH folder ${CMAKE_SOURCE_DIR}/tests/unit ${CMAKE_CURRENT_SOURCE_DIR})
  string(REPLACE "/" "_" target ${folder})
  file(GLOB sources CONFIGURE_DEPENDS *.cpp)
  add_executable(unit_${target} ${sources})
  target_include_directories(unit_${target} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(unit_${target} PRIVATE vireo_options ${target} ${ARG_USES} ${ARG_LIBS} gtest gtest_main)
  add_test(NAME "unit ${folder}" COMMAND unit_${target})
  set_tests_properties("unit ${folder}" PROPERTIES LABELS unit TIMEOUT 300)
endfunction()

function(vireo_fuzzer name source)
  cmake_parse_arguments(ARG "" "" "USES;LIBS" ${ARGN})
  add_executable(fuzz_${name} ${source})
  target_link_libraries(fuzz_${name} PRIVATE vireo_options ${ARG_USES} ${ARG_LIBS})
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
endfunction()
