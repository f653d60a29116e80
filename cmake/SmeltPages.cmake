# SPDX-License-Identifier: Apache-2.0
# Bundle web/src with esbuild and turn the page's files into a C table:
#   smelt_pages(target) adds pages.c, which defines sm_pages and sm_n_pages (cmd/pages.h).

function(smelt_pages target)
  find_program(ESBUILD esbuild)
  if(NOT ESBUILD)
    message(FATAL_ERROR "esbuild is missing: it bundles the page (Debian package esbuild)")
  endif()
  set(web ${CMAKE_SOURCE_DIR}/web)
  file(GLOB ts CONFIGURE_DEPENDS ${web}/src/*.ts)
  set(js ${CMAKE_BINARY_DIR}/web/app.js)
  add_custom_command(OUTPUT ${js}
    COMMAND ${ESBUILD} ${web}/src/main.ts --bundle --minify --target=es2020
            --log-level=warning --outfile=${js}
    DEPENDS ${ts} VERBATIM)
  set(out ${CMAKE_BINARY_DIR}/web/pages.c)
  set(list ${CMAKE_BINARY_DIR}/web/pages.list)
  file(WRITE ${list}.new "")
  file(APPEND ${list}.new "/\ttext/html\t${web}/index.html\n")
  file(APPEND ${list}.new "/style.css\ttext/css\t${web}/style.css\n")
  file(APPEND ${list}.new "/icon.svg\timage/svg+xml\t${web}/icon.svg\n")
  file(APPEND ${list}.new "/app.js\ttext/javascript\t${js}\n")
  configure_file(${list}.new ${list} COPYONLY)
  add_custom_command(OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DLIST=${list} -DOUT=${out}
            -P ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
    DEPENDS ${js} ${list} ${web}/index.html ${web}/style.css ${web}/icon.svg
            ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
    VERBATIM)
  target_sources(${target} PRIVATE ${out})
endfunction()
