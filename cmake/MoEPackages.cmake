# What is around the programs: man pages and completion, which are made of
# --help, the editors' files, pkg-config, the uninstall target, and Debian
# packages.

# -- pkg-config ---------------------------------------------------------------

set(pc_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
file(RELATIVE_PATH MOE_PC_PREFIX "/prefix/${pc_dir}" "/prefix")
string(REGEX REPLACE "/$" "" MOE_PC_PREFIX "${MOE_PC_PREFIX}")
get_target_property(MOE_PC_PRIVATE moe_rt INTERFACE_LINK_OPTIONS)
list(JOIN MOE_PC_PRIVATE " " MOE_PC_PRIVATE)
configure_file(moe_rt.pc.in "${CMAKE_CURRENT_BINARY_DIR}/moe_rt.pc" @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/moe_rt.pc" DESTINATION "${pc_dir}")

# -- uninstall ----------------------------------------------------------------

add_custom_target(uninstall
  COMMAND "${CMAKE_COMMAND}"
          -D "MANIFEST=${PROJECT_BINARY_DIR}/install_manifest.txt"
          -P "${CMAKE_CURRENT_SOURCE_DIR}/Uninstall.cmake"
  COMMENT "Removing what was installed"
  VERBATIM)

# -- Man pages and completion -------------------------------------------------

set(share "${PROJECT_BINARY_DIR}/share")
set(made "")
find_program(MOE_HELP2MAN help2man)
if(tools AND NOT MOE_HELP2MAN)
  message(STATUS "No help2man: there will be no man pages")
endif()
foreach(tool ${tools})
  set(program $<TARGET_FILE:${tool}>)
  foreach(shell
      "bash bash-completion/completions ${tool}"
      "zsh zsh/vendor-completions _${tool}"
      "fish fish/vendor_completions.d ${tool}.fish")
    string(REPLACE " " ";" shell "${shell}")
    list(GET shell 1 folder)
    list(GET shell 2 name)
    list(GET shell 0 shell)
    file(MAKE_DIRECTORY "${share}/${folder}")
    add_custom_command(
      OUTPUT "${share}/${folder}/${name}"
      COMMAND ${program} --completion=${shell} > "${share}/${folder}/${name}"
      DEPENDS ${tool}
      COMMENT "Writing ${name} for ${shell}"
      VERBATIM)
    list(APPEND made "${share}/${folder}/${name}")
    install(FILES "${share}/${folder}/${name}"
            DESTINATION "${CMAKE_INSTALL_DATADIR}/${folder}")
  endforeach()
  if(MOE_HELP2MAN)
    file(MAKE_DIRECTORY "${share}/man/man1")
    add_custom_command(
      OUTPUT "${share}/man/man1/${tool}.1"
      COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/man-page.sh" "${MOE_HELP2MAN}"
              ${program} "${share}/man/man1/${tool}.1"
      DEPENDS ${tool}
      COMMENT "Writing ${tool}.1"
      VERBATIM)
    list(APPEND made "${share}/man/man1/${tool}.1")
    install(FILES "${share}/man/man1/${tool}.1"
            DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")
  endif()
endforeach()
if(made)
  add_custom_target(moe-share ALL DEPENDS ${made})
  if(TARGET test-depends)
    add_dependencies(test-depends moe-share)
    add_dependencies(check-moe moe-share)
  endif()
endif()

if(MOE_BUILD_COMPILER)
  install(DIRECTORY "${PROJECT_SOURCE_DIR}/editors"
          DESTINATION "${CMAKE_INSTALL_DATADIR}/moe-mlir")
endif()

# -- Debian packages ----------------------------------------------------------

# What a program that runs layers needs, the same for what is compiled for
# AArch64 elsewhere, and all the rest.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME moe-mlir)
set(CPACK_PACKAGE_VENDOR MoE-MLIR)
set(CPACK_PACKAGE_CONTACT "MoE-MLIR developers <moe-mlir@localhost>")
set(CPACK_RESOURCE_FILE_LICENSE "${PROJECT_SOURCE_DIR}/LICENSE")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL runtime Unspecified)
if(TARGET moe_rt_aarch64)
  list(APPEND CPACK_COMPONENTS_ALL cross)
endif()
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION devel)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS
    "${CMAKE_LIBRARY_OUTPUT_DIRECTORY}")
# shlibdeps knows this machine's libraries.
set(CPACK_DEBIAN_CROSS_PACKAGE_SHLIBDEPS OFF)
set(CPACK_DEBIAN_CROSS_PACKAGE_NAME libmoe-rt${MOE_RT_ABI}-arm64-cross)
set(CPACK_DEBIAN_CROSS_PACKAGE_ARCHITECTURE all)
set(CPACK_COMPONENT_CROSS_DESCRIPTION
    "Runtime of compiled Mixture-of-Experts layers, for linking for AArch64")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME libmoe-rt${MOE_RT_ABI})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION
    "Runtime of compiled Mixture-of-Experts layers")
set(CPACK_DEBIAN_UNSPECIFIED_PACKAGE_NAME moe-mlir)
set(CPACK_COMPONENT_UNSPECIFIED_DESCRIPTION "${PROJECT_DESCRIPTION}
 Tools, libraries, headers and man pages.")
set(CPACK_COMPONENT_UNSPECIFIED_DEPENDS runtime)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON)
# moe-compile links libraries, packages of C++ need MLIR's headers.
set(CPACK_DEBIAN_UNSPECIFIED_PACKAGE_RECOMMENDS "gcc, libmlir-22-dev")
include(CPack)
