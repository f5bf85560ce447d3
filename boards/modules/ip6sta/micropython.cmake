add_library(usermod_ip6sta INTERFACE)

target_sources(usermod_ip6sta INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}/ip6sta.c
)

target_link_libraries(usermod INTERFACE usermod_ip6sta)
