# What USER_C_MODULES= names: all C modules of roamkey.
include(${CMAKE_CURRENT_LIST_DIR}/ip6sta/micropython.cmake)
