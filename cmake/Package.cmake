# What is installed beside the program, and the Debian package: cmake --build --preset release, then cpack -G DEB in build/release.
#
# The manual page and the completions are what the program itself prints (moontide help --man, moontide completions SHELL), so
# that they cannot differ from it. Run at build time (cmake -P) with PROGRAM, OUT and GZIP: writes them.
if(CMAKE_SCRIPT_MODE_FILE)
  file(MAKE_DIRECTORY ${OUT})
  execute_process(COMMAND ${PROGRAM} help --man OUTPUT_FILE ${OUT}/moontide.1 COMMAND_ERROR_IS_FATAL ANY)
  foreach(shell bash zsh fish)
    execute_process(COMMAND ${PROGRAM} completions ${shell} OUTPUT_FILE ${OUT}/moontide.${shell} COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
  if(GZIP)
    execute_process(COMMAND ${GZIP} -9nf ${OUT}/moontide.1 COMMAND_ERROR_IS_FATAL ANY)
  endif()
  return()
endif()

set(MOONTIDE_MAINTAINER "The moontide authors <moontide@localhost>" CACHE STRING "Maintainer of the Debian package")
find_program(GZIP gzip)
set(documents ${PROJECT_BINARY_DIR}/documents)
set(gz "")
if(GZIP)
  set(gz .gz)
endif()

# The builds for finding errors are not installed.
if(NOT MOONTIDE_SANITIZE)
  set(made ${documents}/moontide.1${gz} ${documents}/moontide.bash ${documents}/moontide.zsh ${documents}/moontide.fish)
  add_custom_command(OUTPUT ${made}
    COMMAND ${CMAKE_COMMAND} -DPROGRAM=$<TARGET_FILE:moontide> -DOUT=${documents} -DGZIP=$<$<BOOL:${gz}>:${GZIP}>
      -P ${PROJECT_SOURCE_DIR}/cmake/Package.cmake
    DEPENDS moontide ${PROJECT_SOURCE_DIR}/cmake/Package.cmake
    COMMENT "Writing the manual page and the completions" VERBATIM)
  add_custom_target(documents ALL DEPENDS ${made})
  install(FILES ${documents}/moontide.1${gz} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES ${documents}/moontide.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME moontide)
  install(FILES ${documents}/moontide.zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions RENAME _moontide)
  install(FILES ${documents}/moontide.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endif()

# The annotations for lua-language-server, the unit (not enabled), and examples of its settings.
install(DIRECTORY lua/moontide/types DESTINATION ${CMAKE_INSTALL_DATADIR}/moontide)
install(FILES scripts/delivery/moontide@.service DESTINATION lib/systemd/system)
install(FILES scripts/delivery/example.env DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(DIRECTORY scripts/delivery/helm DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(FILES CHANGELOG.md scripts/delivery/debian/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR})

# A fixed date (SOURCE_DATE_EPOCH) makes the package reproducible.
string(TIMESTAMP MOONTIDE_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC)
configure_file(scripts/delivery/debian/changelog.in ${documents}/changelog @ONLY)
if(GZIP)
  execute_process(COMMAND ${GZIP} -9nf ${documents}/changelog COMMAND_ERROR_IS_FATAL ANY)
endif()
install(FILES ${documents}/changelog${gz} DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_VENDOR moontide)
set(CPACK_PACKAGE_CONTACT ${MOONTIDE_MAINTAINER})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "runs Port integrations written in Lua")
set(CPACK_PACKAGE_DESCRIPTION "moontide runs integrations for Port (getport.io) that are written in Lua. A script
fetches raw data from an API and yields it page by page; the program does the
HTTP, maps the data to entities with jq, compares them with what Port already
holds, and makes Port match.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS ca-certificates) # Port is reached by https
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS lua-busted)   # moontide test
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
