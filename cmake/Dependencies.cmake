# The libraries that moontide stands on, as imported targets (Debian 12 versions are the floor).
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl>=7.88)
pkg_check_modules(EVENT REQUIRED IMPORTED_TARGET libevent>=2.1 libevent_pthreads>=2.1)
pkg_check_modules(CJSON REQUIRED IMPORTED_TARGET libcjson>=1.7.15)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1>=0.2)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3>=3.40)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium>=1.0.18)
pkg_check_modules(ARCHIVE REQUIRED IMPORTED_TARGET libarchive>=3.6)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash>=0.8)
pkg_check_modules(ONIG REQUIRED IMPORTED_TARGET oniguruma>=6.9)

if(MOONTIDE_LUA_SOURCE)
  # The apicheck preset: Lua itself asserts on misuse of its C API.
  file(GLOB lua_sources ${MOONTIDE_LUA_SOURCE}/*.c)
  list(FILTER lua_sources EXCLUDE REGEX "/(lua|luac|onelua|ltests)\\.c$")
  add_library(lua_apicheck STATIC ${lua_sources})
  target_include_directories(lua_apicheck SYSTEM PUBLIC ${MOONTIDE_LUA_SOURCE})
  target_compile_definitions(lua_apicheck PUBLIC LUA_USE_APICHECK LUA_USE_LINUX
    DEB_HOST_MULTIARCH="${CMAKE_LIBRARY_ARCHITECTURE}") # Debian's patch of luaconf.h builds module paths from it
  set_target_properties(lua_apicheck PROPERTIES C_VISIBILITY_PRESET default) # for busted's C modules
  target_link_libraries(lua_apicheck PUBLIC m dl)
  add_library(Lua::lua ALIAS lua_apicheck)
else()
  pkg_check_modules(LUA REQUIRED IMPORTED_TARGET lua5.4)
  add_library(Lua::lua ALIAS PkgConfig::LUA)
endif()

# libjq 1.6 ships no .pc file.
find_path(JQ_INCLUDE_DIR jq.h REQUIRED)
find_library(JQ_LIBRARY jq REQUIRED)
add_library(Jq::jq UNKNOWN IMPORTED)
set_target_properties(Jq::jq PROPERTIES IMPORTED_LOCATION ${JQ_LIBRARY})
