# Compiler options of our own code: mt_options is linked by every room, never by a dependency.
add_library(mt_options INTERFACE)
target_include_directories(mt_options INTERFACE ${PROJECT_SOURCE_DIR}/runtime)
target_compile_definitions(mt_options INTERFACE _GNU_SOURCE MT_VERSION="${PROJECT_VERSION}")
target_compile_options(mt_options INTERFACE
  -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wundef
  -Wdouble-promotion -Wcast-qual -Wwrite-strings -Wpointer-arith -Wconversion
  -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
if(MOONTIDE_WERROR)
  target_compile_options(mt_options INTERFACE -Werror)
endif()
if(MOONTIDE_SANITIZE)
  target_compile_options(mt_options INTERFACE
    -fsanitize=${MOONTIDE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(mt_options INTERFACE -fsanitize=${MOONTIDE_SANITIZE})
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(mt_options INTERFACE -D_FORTIFY_SOURCE=2 -fstack-protector-strong)
  target_link_options(mt_options INTERFACE -Wl,-z,relro,-z,now)
endif()

# mt_room(NAME sources... [DEPENDS targets...]): the static library of one room.
function(mt_room name)
  cmake_parse_arguments(arg "" "" "DEPENDS" ${ARGN})
  add_library(mt_${name} STATIC ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(mt_${name} PUBLIC mt_options ${arg_DEPENDS})
endfunction()
