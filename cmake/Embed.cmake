# Embeds lua/moontide/**.lua into the program, so that it runs from any folder.
#
# Included by runtime/script: mt_embed_library(TARGET) adds the generated source and library.c to the target.
# Run at build time (cmake -P) with ROOT, LIST and OUT: writes the C file. The lists are sorted, so builds are reproducible.
if(CMAKE_SCRIPT_MODE_FILE)
  file(STRINGS ${LIST} files)
  set(arrays "")
  set(table "")
  set(number 0)
  foreach(line ${files})
    # "MODULE PATH"
    string(REGEX MATCH "^([^ ]+) (.*)$" _ "${line}")
    set(module ${CMAKE_MATCH_1})
    file(READ ${CMAKE_MATCH_2} hex HEX)
    string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
    string(APPEND arrays "static const unsigned char source_${number}[] = { /* ${module} */\n${hex}0x00};\n\n")
    string(APPEND table "    {\"${module}\", source_${number}, sizeof(source_${number}) - 1},\n")
    math(EXPR number "${number} + 1")
  endforeach()
  file(WRITE ${OUT} "/* Generated from lua/moontide by cmake/Embed.cmake. */
#include \"script/library_modules.h\"

${arrays}const struct mt_library_module mt_library_modules[] = {
${table}};
const size_t mt_library_module_count = ${number};
")
  return()
endif()

function(mt_embed_library target)
  set(root ${PROJECT_SOURCE_DIR}/lua)
  # Data, not code to compile: a module that appears is picked up by the next build.
  file(GLOB_RECURSE files CONFIGURE_DEPENDS ${root}/moontide/*.lua)
  set(lines "")
  foreach(file ${files})
    file(RELATIVE_PATH module ${root} ${file})
    if(NOT module MATCHES "^moontide/types/") # annotations for editors only
      string(REGEX REPLACE "(/init)?\\.lua$" "" module ${module})
      string(REPLACE "/" "." module ${module})
      list(APPEND lines "${module} ${file}")
    else()
      list(REMOVE_ITEM files ${file})
    endif()
  endforeach()
  list(SORT lines COMPARE STRING)
  list(JOIN lines "\n" text)
  set(list ${CMAKE_CURRENT_BINARY_DIR}/library_modules.txt)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/library_modules.c)
  file(GENERATE OUTPUT ${list} CONTENT "${text}\n")
  add_custom_command(OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DLIST=${list} -DOUT=${out} -P ${PROJECT_SOURCE_DIR}/cmake/Embed.cmake
    DEPENDS ${files} ${list} ${PROJECT_SOURCE_DIR}/cmake/Embed.cmake
    COMMENT "Embedding the Lua library" VERBATIM)
  target_sources(${target} PRIVATE ${PROJECT_SOURCE_DIR}/runtime/script/library.c ${out})
endfunction()
