# The module moontide.core for a stock lua5.4 (lib/moontide/core.so): the same static libraries as the program's, but without liblua, whose
# functions the interpreter that loads it has.
add_library(moontide_core MODULE ${PROJECT_SOURCE_DIR}/runtime/script/standalone.c)
get_target_property(lua_library Lua::lua ALIASED_TARGET)
if(NOT lua_library)
  set(lua_library Lua::lua)
endif()
target_include_directories(moontide_core SYSTEM PRIVATE
  $<TARGET_PROPERTY:${lua_library},INTERFACE_INCLUDE_DIRECTORIES>
  $<TARGET_PROPERTY:PkgConfig::CURL,INTERFACE_INCLUDE_DIRECTORIES>)
target_link_libraries(moontide_core PRIVATE mt_options
  $<TARGET_FILE:mt_script> $<TARGET_FILE:mt_jq> $<TARGET_FILE:mt_json> $<TARGET_FILE:mt_net> $<TARGET_FILE:mt_base>
  Jq::jq PkgConfig::CURL PkgConfig::EVENT PkgConfig::SODIUM PkgConfig::XXHASH Threads::Threads m)
add_dependencies(moontide_core mt_script mt_jq mt_json mt_net mt_base)
set_target_properties(moontide_core PROPERTIES PREFIX "" OUTPUT_NAME core
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/moontide)
