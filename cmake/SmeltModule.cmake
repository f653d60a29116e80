# SPDX-License-Identifier: Apache-2.0
# One function a kind of target.  A module is every *.c below src/NAME; adding a file needs
# no edit here, only a re-run of cmake (CONFIGURE_DEPENDS does it).

set(SMELT_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wvla -Wundef -Wstrict-prototypes
    -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wcast-qual -Wformat=2
    -Wconversion -Wno-sign-conversion)
set(SMELT_CODEGEN -fno-common -fvisibility=hidden -fno-omit-frame-pointer
    -ffp-contract=off)
# What is built does not know where; but coverage has to find the sources.
if(NOT SMELT_COVERAGE AND NOT CMAKE_C_FLAGS MATCHES "coverage")
  list(APPEND SMELT_CODEGEN -ffile-prefix-map=${CMAKE_SOURCE_DIR}=.)
endif()
set(SMELT_LINK "")
set(SMELT_TEST_TIMEOUT 300) # seconds, of a test of the short tier
if(SMELT_SANITIZE)
  set(SMELT_TEST_TIMEOUT 1500)
  list(APPEND SMELT_CODEGEN -fsanitize=${SMELT_SANITIZE} -fno-sanitize-recover=all)
  list(APPEND SMELT_LINK -fsanitize=${SMELT_SANITIZE})
endif()
if(SMELT_FUZZ)
  list(APPEND SMELT_CODEGEN -fsanitize=fuzzer-no-link)
endif()
if(SMELT_COVERAGE)
  list(APPEND SMELT_CODEGEN --coverage -fprofile-update=atomic)
  list(APPEND SMELT_LINK --coverage)
endif()
if(SMELT_WERROR)
  list(APPEND SMELT_WARNINGS -Werror)
endif()
add_link_options(${SMELT_LINK})

set_property(GLOBAL PROPERTY SMELT_MODULES "")

# Flags of the instruction-set rungs: by folder, never global.
set(SMELT_ISA_avx2 -mavx2 -mfma -mf16c -O3)
set(SMELT_ISA_avx512 -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl
    -mavx512vnni -mavx512bf16 -mprefer-vector-width=512 -O3)
set(SMELT_ISA_avx512bf16 ${SMELT_ISA_avx512})
set(SMELT_ISA_amx ${SMELT_ISA_avx512} -mamx-tile -mamx-bf16 -mamx-int8)

function(smelt_common target)
  target_compile_options(${target} PRIVATE ${SMELT_WARNINGS} ${SMELT_CODEGEN})
  target_compile_definitions(${target} PRIVATE _POSIX_C_SOURCE=200809L)
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>)
endfunction()

# smelt_module(name [DEPS module...] [LIBS target...] [DEFINES NAME...])
function(smelt_module name)
  cmake_parse_arguments(M "" "" "DEPS;LIBS;DEFINES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.c)
  list(FILTER sources EXCLUDE REGEX "\\.inc\\.c$")
  set_property(GLOBAL APPEND PROPERTY SMELT_MODULES ${name})
  set(target smelt_${name})
  if(NOT sources)
    add_library(${target} INTERFACE)
    foreach(d IN LISTS M_DEPS)
      target_link_libraries(${target} INTERFACE smelt_${d})
    endforeach()
    return()
  endif()
  add_library(${target} STATIC ${sources})
  smelt_common(${target})
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/src/${name})
  if(M_DEFINES)
    target_compile_definitions(${target} PRIVATE ${M_DEFINES})
  endif()
  foreach(d IN LISTS M_DEPS)
    target_link_libraries(${target} PUBLIC smelt_${d})
  endforeach()
  target_link_libraries(${target} PUBLIC ${M_LIBS})
  foreach(src IN LISTS sources)
    foreach(isa IN ITEMS avx2 avx512 avx512bf16 amx)
      if(src MATCHES "/x86/${isa}/" OR src MATCHES "_${isa}\\.c$")
        set_source_files_properties(${src} PROPERTIES COMPILE_OPTIONS "${SMELT_ISA_${isa}}")
      endif()
    endforeach()
  endforeach()
endfunction()

# libsmelt, shared and static, from all modules.
function(smelt_library)
  get_property(modules GLOBAL PROPERTY SMELT_MODULES)
  set(objects "")
  set(libs "")
  foreach(m IN LISTS modules)
    get_target_property(type smelt_${m} TYPE)
    if(type STREQUAL "STATIC_LIBRARY")
      list(APPEND objects smelt_${m})
    endif()
  endforeach()
  set_property(GLOBAL PROPERTY SMELT_OBJECTS "${objects}")
  set(all_sources "")
  foreach(o IN LISTS objects)
    list(APPEND all_sources $<TARGET_OBJECTS:${o}>)
  endforeach()
  add_library(smelt_shared SHARED ${all_sources})
  add_library(smelt_static STATIC ${all_sources})
  set_target_properties(smelt_shared smelt_static PROPERTIES OUTPUT_NAME smelt
    LINKER_LANGUAGE C)
  set_target_properties(smelt_shared PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0)
  foreach(t IN ITEMS smelt_shared smelt_static)
    target_include_directories(${t} PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>)
    target_link_libraries(${t} PRIVATE Threads::Threads PkgConfig::OPENSSL
      PkgConfig::SQLITE PkgConfig::ARCHIVE PkgConfig::UTF8PROC PkgConfig::GUMBO
      PkgConfig::XXHASH PkgConfig::FYAML PkgConfig::JANSSON PkgConfig::MHD)
  endforeach()
endfunction()

# The program: cmd/*.c over all modules.
function(smelt_program)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/cmd/*.c)
  if(NOT sources)
    return()
  endif()
  get_property(objects GLOBAL PROPERTY SMELT_OBJECTS)
  add_executable(smelt ${sources})
  smelt_common(smelt)
  target_compile_definitions(smelt PRIVATE _GNU_SOURCE)
  target_include_directories(smelt PRIVATE ${CMAKE_SOURCE_DIR}/cmd)
  target_link_libraries(smelt PRIVATE ${objects} PkgConfig::JANSSON)
  smelt_pages(smelt)
  # The manual page and the completions are what the program says of itself.
  set(manual ${CMAKE_BINARY_DIR}/manual)
  add_custom_command(TARGET smelt POST_BUILD
    COMMAND ${CMAKE_COMMAND} -E make_directory ${manual}
    COMMAND smelt help --man > ${manual}/smelt.1
    COMMAND smelt help --completions bash > ${manual}/smelt.bash
    COMMAND smelt help --completions zsh > ${manual}/_smelt
    COMMAND smelt help --completions fish > ${manual}/smelt.fish
    VERBATIM)
endfunction()

# smelt_tests()
# A unit test is tests/unit/MODULE/test_NAME.c, linked with that module and what it needs.
function(smelt_tests)
  if(CMOCKA_FOUND)
    get_property(modules GLOBAL PROPERTY SMELT_MODULES)
    foreach(m IN LISTS modules)
      file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/unit/${m}/test_*.c)
      foreach(src IN LISTS sources)
        get_filename_component(stem ${src} NAME_WE)
        set(t ${m}_${stem})
        # A test names an oracle library in its first lines: "libs: PkgConfig::PCRE2".
        set(oracle "")
        file(STRINGS ${src} line LIMIT_COUNT 6 REGEX "libs: ")
        if(line MATCHES "libs: (PkgConfig::[A-Z0-9]+)")
          set(oracle ${CMAKE_MATCH_1})
          if(NOT TARGET ${oracle})
            message(WARNING "unit/${m}/${stem} is left out: ${oracle} is not installed")
            continue()
          endif()
        endif()
        add_executable(${t} ${src})
        smelt_common(${t})
        target_compile_definitions(${t} PRIVATE
          SMELT_SOURCE_DIR="${CMAKE_SOURCE_DIR}" SMELT_BINARY_DIR="${CMAKE_BINARY_DIR}")
        target_include_directories(${t} PRIVATE ${CMAKE_SOURCE_DIR}/src/${m}
          ${CMAKE_SOURCE_DIR}/tests)
        target_link_libraries(${t} PRIVATE smelt_${m} PkgConfig::CMOCKA ${oracle} m)
        add_test(NAME unit/${m}/${stem} COMMAND ${t})
        set_tests_properties(unit/${m}/${stem} PROPERTIES
          LABELS "unit;short" TIMEOUT ${SMELT_TEST_TIMEOUT})
      endforeach()
    endforeach()
  endif()
  # Every other kind of test lives in a folder with its own CMakeLists.txt.
  file(GLOB rooms CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/*/CMakeLists.txt)
  foreach(room IN LISTS rooms)
    get_filename_component(dir ${room} DIRECTORY)
    add_subdirectory(${dir})
  endforeach()
endfunction()

function(smelt_install)
  include(GNUInstallDirs)
  install(TARGETS smelt_shared smelt_static
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  if(TARGET smelt)
    install(TARGETS smelt RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    set(manual ${CMAKE_BINARY_DIR}/manual)
    install(FILES ${manual}/smelt.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
    install(FILES ${manual}/smelt.bash RENAME smelt
      DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
    install(FILES ${manual}/_smelt
      DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
    install(FILES ${manual}/smelt.fish
      DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
  endif()
  install(DIRECTORY include/smelt DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  if(EXISTS ${CMAKE_SOURCE_DIR}/cmake/smelt.pc.in)
    # relative to the file itself, so that an installation may be moved
    file(RELATIVE_PATH SMELT_PC_UP /x/${CMAKE_INSTALL_LIBDIR}/pkgconfig /x)
    # What libsmelt.a itself needs: its dependencies are linked dynamically, and theirs are
    # their own business (Requires.private would ask for each as an archive).
    list(JOIN SMELT_PRIVATE_LDFLAGS " " SMELT_PC_PRIVATE)
    configure_file(cmake/smelt.pc.in smelt.pc @ONLY)
    install(FILES ${CMAKE_BINARY_DIR}/smelt.pc
      DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
  endif()
endfunction()
