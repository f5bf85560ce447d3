// IPv6 on the ESP32's Wi-Fi station, which MicroPython's own port never brings up.
//
// ESP-IDF gives a station no IPv6 address until somebody asks for the link-local one, and its
// input hook may drop IPv6 packets until there is one. MicroPython doesn't ask. This module does:
// on WIFI_EVENT_STA_CONNECTED it has lwIP make the link-local address and switches stateless
// autoconfiguration on. From Python it tells which addresses there are and in which state, since
// WLAN.ipconfig() knows only IPv4, and whether the station is associated, since WLAN.status() and
// WLAN.isconnected() wait for an IPv4 address that an IPv6 network doesn't give.
//
// A join by access point and channel, which WLAN.connect() can't be told, saves the driver its scan
// of all channels; and DHCP's client, which asks each four seconds for ever, can be told to rest.
//
// lwIP belongs to its own task (LOCK_TCPIP_CORE() does nothing under ESP-IDF), so whatever looks
// at a struct netif runs there, through esp_netif_tcpip_exec(). That blocks: it is called with the
// GIL released, and nothing that runs there touches Python.

#include <string.h>

#include "py/mperrno.h"
#include "py/mphal.h"
#include "py/runtime.h"
#include "extmod/modnetwork.h" // needs what stands before it

#include "esp_event.h"
#include "esp_netif.h"
#include "esp_netif_net_stack.h"
#include "esp_wifi.h"
#include "lwip/inet_chksum.h"
#include "lwip/ip6.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/prot/icmp6.h"

#define IP6_OCTETS (16)
#define ROUTER_SOLICITATION_OCTETS (8) // RFC 4861 section 4.1, without options
#define NEIGHBOR_SOLICITATION_OCTETS (24) // section 4.3, without options
#define ND6_HOP_LIMIT (255)

// What the event task writes and Python reads: words of their own, each written by one task.
static volatile bool associated;
static volatile uint32_t losses; // associations that failed or ended, but for disconnect()
static volatile uint32_t last_reason; // wifi_err_reason_t of the last of them
static volatile bool dhcp_rests; // in the associations to come; only Python writes it

// Registered once for as long as the chip runs: handlers hold nothing of Python's, so a soft
// reset doesn't concern them.
static bool registered;

typedef struct _address_t {
    uint8_t octets[IP6_OCTETS];
    uint8_t state; // IP6_ADDR_... of lwip/ip6_addr.h
    uint32_t preferred; // seconds left
    uint32_t valid;
} address_t;

// What is passed to lwIP's task and back.
typedef struct _request_t {
    esp_netif_t *station;
    size_t count;
    address_t addresses[LWIP_IPV6_NUM_ADDRESSES];
} request_t;

static struct netif *netif_of(esp_netif_t *station) {
    return esp_netif_get_netif_impl(station);
}

// In lwIP's task: the link-local address, unless there is one, and autoconfiguration.
static esp_err_t bring_up(void *context) {
    struct netif *netif = netif_of(context);
    if (netif == NULL || !netif_is_up(netif)) {
        return ESP_ERR_INVALID_STATE;
    }
    netif_set_ip6_autoconfig_enabled(netif, 1);
    if (ip6_addr_isinvalid(netif_ip6_addr_state(netif, 0))) {
        netif_create_ip6_linklocal_address(netif, 1);
    }
    return ESP_OK;
}

// In lwIP's task: copy the table of addresses.
static esp_err_t list_addresses(void *context) {
    request_t *request = context;
    struct netif *netif = netif_of(request->station);
    request->count = 0;
    if (netif == NULL) {
        return ESP_OK;
    }
    for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
        uint8_t state = netif_ip6_addr_state(netif, i);
        if (ip6_addr_isinvalid(state)) {
            continue;
        }
        address_t *address = &request->addresses[request->count++];
        memcpy(address->octets, netif_ip6_addr(netif, i)->addr, IP6_OCTETS);
        address->state = state;
        #if LWIP_IPV6_ADDRESS_LIFETIMES
        address->preferred = netif_ip6_addr_pref_life(netif, i);
        address->valid = netif_ip6_addr_valid_life(netif, i);
        #else
        address->preferred = address->valid = 0;
        #endif
    }
    return ESP_OK;
}

// In lwIP's task: drop the address in addresses[0].
static esp_err_t remove_address(void *context) {
    request_t *request = context;
    struct netif *netif = netif_of(request->station);
    if (netif == NULL) {
        return ESP_OK;
    }
    for (int i = 1; i < LWIP_IPV6_NUM_ADDRESSES; i++) { // slot 0 is the link-local address
        if (memcmp(netif_ip6_addr(netif, i)->addr, request->addresses[0].octets, IP6_OCTETS) == 0) {
            netif_ip6_addr_set_state(netif, i, IP6_ADDR_INVALID);
        }
    }
    return ESP_OK;
}

// In lwIP's task: take seconds (`count`) from the lifetimes of global addresses that have more than
// twice as many. A router that advertises them gives them back, and is seen to.
static esp_err_t age_addresses(void *context) {
    request_t *request = context;
    struct netif *netif = netif_of(request->station);
    if (netif == NULL) {
        return ESP_OK;
    }
    #if LWIP_IPV6_ADDRESS_LIFETIMES
    for (int i = 1; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
        uint32_t valid = netif_ip6_addr_valid_life(netif, i);
        if (!ip6_addr_isinvalid(netif_ip6_addr_state(netif, i)) && valid > 2 * request->count) {
            netif_ip6_addr_set_valid_life(netif, i, valid - request->count);
        }
    }
    #endif
    return ESP_OK;
}

// In lwIP's task: send a message of ICMPv6 that is zeros but for its type and what follows.
static esp_err_t send_icmp6(struct netif *netif, const ip6_addr_t *source,
    ip6_addr_t *destination, uint8_t type, const uint8_t *target, size_t octets) {
    struct pbuf *p = pbuf_alloc(PBUF_IP, octets, PBUF_RAM);
    if (p == NULL) {
        return ESP_ERR_NO_MEM;
    }
    uint8_t *message = p->payload;
    memset(message, 0, octets);
    message[0] = type;
    if (target != NULL) {
        memcpy(message + octets - IP6_OCTETS, target, IP6_OCTETS);
    }
    ip6_addr_assign_zone(destination, IP6_MULTICAST, netif);
    uint16_t checksum = ip6_chksum_pseudo(p, IP6_NEXTH_ICMP6, p->tot_len, source, destination);
    memcpy(message + 2, &checksum, sizeof(checksum));

    err_t result =
        ip6_output_if_src(p, source, destination, ND6_HOP_LIMIT, 0, IP6_NEXTH_ICMP6, netif);
    pbuf_free(p);
    return result == ERR_OK ? ESP_OK : result == ERR_MEM ? ESP_ERR_NO_MEM : ESP_FAIL;
}

// In lwIP's task: send one Router Solicitation. lwIP sends its own each fourth second only.
static esp_err_t send_solicitation(void *context) {
    struct netif *netif = netif_of(context);
    if (netif == NULL || !netif_is_up(netif)) {
        return ESP_ERR_INVALID_STATE;
    }
    const ip6_addr_t *source = IP6_ADDR_ANY6; // RFC 4861 section 4.1: while none is usable
    if (ip6_addr_isvalid(netif_ip6_addr_state(netif, 0))) {
        source = netif_ip6_addr(netif, 0);
    }
    ip6_addr_t routers;
    ip6_addr_set_allrouters_linklocal(&routers);
    return send_icmp6(netif, source, &routers, ICMP6_TYPE_RS, NULL, ROUTER_SOLICITATION_OCTETS);
}

// In lwIP's task: use the tentative address in addresses[0] from now on, and ask the neighbours
// for it (RFC 4429, RFC 4862 section 5.4.2). Where one has it lwIP hears its answer, and marks the
// address as a duplicate. Its lifetimes stay: nothing but the state is touched.
static esp_err_t take_address(void *context) {
    request_t *request = context;
    struct netif *netif = netif_of(request->station);
    if (netif == NULL || !netif_is_up(netif)) {
        return ESP_ERR_INVALID_STATE;
    }
    const uint8_t *octets = request->addresses[0].octets;
    for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
        if (ip6_addr_istentative(netif_ip6_addr_state(netif, i))
            && memcmp(netif_ip6_addr(netif, i)->addr, octets, IP6_OCTETS) == 0) {
            netif_ip6_addr_set_state(netif, i, IP6_ADDR_PREFERRED); // joins its multicast group
            ip6_addr_t group;
            ip6_addr_set_solicitednode(&group, netif_ip6_addr(netif, i)->addr[3]);
            return send_icmp6(netif, IP6_ADDR_ANY6, &group, ICMP6_TYPE_NS, octets,
                NEIGHBOR_SOLICITATION_OCTETS);
        }
    }
    return ESP_OK; // it is gone, or has passed
}

// These two are called by the event task: they must raise no Python exception. ESP-IDF's own
// handlers, which take the interface up and down, were registered before for the same events by
// esp_netif_create_default_wifi_sta(), so they have run. (Handlers for ESP_EVENT_ANY_ID run
// before those for a single event, so MicroPython's have run, too; one for ANY_ID here would
// find the interface down.)

static void on_connected(void *arg, esp_event_base_t base, int32_t id, void *data) {
    (void)base;
    (void)id;
    (void)data;
    // Without memory for the message there is no address: addresses() shows it, start() retries.
    (void)esp_netif_tcpip_exec(bring_up, arg);
    if (dhcp_rests) {
        (void)esp_netif_dhcpc_stop(arg);
    }
    associated = true;
}

static void on_disconnected(void *arg, esp_event_base_t base, int32_t id, void *data) {
    (void)base;
    (void)id;
    const wifi_event_sta_disconnected_t *event = data;
    associated = false;
    // The interface is down: this starts nothing. Stopped, it would be taken for an address that
    // was given by hand at the next association, and ESP-IDF would complain on the serial line.
    (void)esp_netif_dhcpc_start(arg);
    if (event->reason != WIFI_REASON_ASSOC_LEAVE) { // that one we asked for
        last_reason = event->reason;
        losses = losses + 1;
    }
}

// The station, or OSError(ENODEV) before network.WLAN() made it.
static esp_netif_t *get_station(void) {
    esp_netif_t *station = esp_netif_get_handle_from_ifkey("WIFI_STA_DEF");
    if (station == NULL) {
        mp_raise_OSError(MP_ENODEV);
    }
    return station;
}

static void raise_unless_ok(esp_err_t result) {
    if (result != ESP_OK) {
        mp_raise_OSError(result == ESP_ERR_NO_MEM ? MP_ENOMEM
            : result == ESP_ERR_INVALID_STATE ? MP_ENOTCONN : MP_EIO);
    }
}

static esp_err_t in_lwip(esp_netif_callback_fn function, void *context) {
    MP_THREAD_GIL_EXIT();
    esp_err_t result = esp_netif_tcpip_exec(function, context);
    MP_THREAD_GIL_ENTER();
    return result;
}

// start(): have IPv6 come up with every association from now on, and with the present one.
static mp_obj_t ip6sta_start(void) {
    esp_netif_t *station = get_station();
    if (!registered) {
        raise_unless_ok(esp_event_handler_instance_register(
            WIFI_EVENT, WIFI_EVENT_STA_CONNECTED, on_connected, station, NULL));
        esp_err_t result = esp_event_handler_instance_register(
            WIFI_EVENT, WIFI_EVENT_STA_DISCONNECTED, on_disconnected, station, NULL);
        if (result != ESP_OK) {
            esp_event_handler_unregister(WIFI_EVENT, WIFI_EVENT_STA_CONNECTED, on_connected);
            raise_unless_ok(result);
        }
        registered = true;
        if (esp_netif_is_netif_up(station)) {
            associated = true;
        }
    }
    esp_err_t result = in_lwip(bring_up, station);
    if (result != ESP_ERR_INVALID_STATE) { // not associated: on_connected's turn
        raise_unless_ok(result);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(ip6sta_start_obj, ip6sta_start);

// link(): (associated, losses so far, reason of the last loss, wifi_err_reason_t or 0).
static mp_obj_t ip6sta_link(void) {
    mp_obj_t items[] = {
        mp_obj_new_bool(associated),
        mp_obj_new_int_from_uint(losses),
        mp_obj_new_int_from_uint(last_reason),
    };
    return mp_obj_new_tuple(MP_ARRAY_SIZE(items), items);
}
static MP_DEFINE_CONST_FUN_OBJ_0(ip6sta_link_obj, ip6sta_link);

// addresses(): a list of (16 octets, state, preferred seconds, valid seconds), link-local first.
static mp_obj_t ip6sta_addresses(void) {
    request_t request = { .station = get_station() };
    raise_unless_ok(in_lwip(list_addresses, &request));
    mp_obj_t list = mp_obj_new_list(0, NULL);
    for (size_t i = 0; i < request.count; i++) {
        const address_t *address = &request.addresses[i];
        mp_obj_t items[] = {
            mp_obj_new_bytes(address->octets, IP6_OCTETS),
            MP_OBJ_NEW_SMALL_INT(address->state),
            mp_obj_new_int_from_uint(address->preferred),
            mp_obj_new_int_from_uint(address->valid),
        };
        mp_obj_list_append(list, mp_obj_new_tuple(MP_ARRAY_SIZE(items), items));
    }
    return list;
}
static MP_DEFINE_CONST_FUN_OBJ_0(ip6sta_addresses_obj, ip6sta_addresses);

static mp_obj_t with_address(esp_netif_callback_fn function, mp_obj_t octets_in) {
    mp_buffer_info_t octets;
    mp_get_buffer_raise(octets_in, &octets, MP_BUFFER_READ);
    if (octets.len != IP6_OCTETS) {
        mp_raise_ValueError(MP_ERROR_TEXT("an address has 16 octets"));
    }
    request_t request = { .station = get_station() };
    memcpy(request.addresses[0].octets, octets.buf, IP6_OCTETS);
    raise_unless_ok(in_lwip(function, &request));
    return mp_const_none;
}

// take(octets): use a tentative address now, and ask the neighbours for it.
static mp_obj_t ip6sta_take(mp_obj_t octets_in) {
    return with_address(take_address, octets_in);
}
static MP_DEFINE_CONST_FUN_OBJ_1(ip6sta_take_obj, ip6sta_take);

// remove(octets): drop an address other than the link-local one.
static mp_obj_t ip6sta_remove(mp_obj_t octets_in) {
    return with_address(remove_address, octets_in);
}
static MP_DEFINE_CONST_FUN_OBJ_1(ip6sta_remove_obj, ip6sta_remove);

// age(seconds): take so many from the valid lifetimes of addresses other than the link-local one.
static mp_obj_t ip6sta_age(mp_obj_t seconds_in) {
    request_t request = { .station = get_station(), .count = mp_obj_get_int(seconds_in) };
    raise_unless_ok(in_lwip(age_addresses, &request));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(ip6sta_age_obj, ip6sta_age);

// solicit(): ask the routers for an advertisement now. OSError(ENOTCONN) without an association.
static mp_obj_t ip6sta_solicit(void) {
    raise_unless_ok(in_lwip(send_solicitation, get_station()));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(ip6sta_solicit_obj, ip6sta_solicit);

// dhcp(on): whether DHCP's client asks for an IPv4 address, now and in associations to come.
static mp_obj_t ip6sta_dhcp(mp_obj_t on_in) {
    esp_netif_t *station = get_station();
    dhcp_rests = !mp_obj_is_true(on_in);
    if (esp_netif_is_netif_up(station)) {
        MP_THREAD_GIL_EXIT();
        esp_err_t result = dhcp_rests ? esp_netif_dhcpc_stop(station) : esp_netif_dhcpc_start(station);
        MP_THREAD_GIL_ENTER();
        if (result != ESP_ERR_ESP_NETIF_DHCP_ALREADY_STOPPED
            && result != ESP_ERR_ESP_NETIF_DHCP_ALREADY_STARTED) {
            raise_unless_ok(result);
        }
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(ip6sta_dhcp_obj, ip6sta_dhcp);

static void copy_text(uint8_t *to, size_t size, mp_obj_t text_in) {
    size_t octets;
    const char *text = mp_obj_str_get_data(text_in, &octets);
    if (octets > size) {
        mp_raise_ValueError(MP_ERROR_TEXT("too long"));
    }
    memcpy(to, text, octets);
}

// join(ssid, password, bssid, channel): begin to join by this access point alone, on its channel.
static mp_obj_t ip6sta_join(size_t count, const mp_obj_t *arguments) {
    (void)count;
    wifi_config_t config = {0};
    copy_text(config.sta.ssid, sizeof(config.sta.ssid), arguments[0]);
    copy_text(config.sta.password, sizeof(config.sta.password), arguments[1]);
    mp_buffer_info_t bssid;
    mp_get_buffer_raise(arguments[2], &bssid, MP_BUFFER_READ);
    if (bssid.len != sizeof(config.sta.bssid)) {
        mp_raise_ValueError(MP_ERROR_TEXT("a BSSID has 6 octets"));
    }
    memcpy(config.sta.bssid, bssid.buf, bssid.len);
    config.sta.bssid_set = true;
    config.sta.channel = mp_obj_get_int(arguments[3]);
    config.sta.scan_method = WIFI_FAST_SCAN;
    esp_netif_t *station = get_station();
    (void)esp_netif_set_hostname(station, mod_network_hostname_data); // as WLAN.connect() does
    MP_THREAD_GIL_EXIT();
    esp_err_t result = esp_wifi_set_config(WIFI_IF_STA, &config);
    if (result == ESP_OK) {
        result = esp_wifi_connect();
    }
    MP_THREAD_GIL_ENTER();
    raise_unless_ok(result);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(ip6sta_join_obj, 4, 4, ip6sta_join);

// access_point(): the one by which it is associated, (bssid, channel); None without.
static mp_obj_t ip6sta_access_point(void) {
    wifi_ap_record_t record;
    if (!associated || esp_wifi_sta_get_ap_info(&record) != ESP_OK) {
        return mp_const_none;
    }
    mp_obj_t items[] = {
        mp_obj_new_bytes(record.bssid, sizeof(record.bssid)),
        MP_OBJ_NEW_SMALL_INT(record.primary),
    };
    return mp_obj_new_tuple(MP_ARRAY_SIZE(items), items);
}
static MP_DEFINE_CONST_FUN_OBJ_0(ip6sta_access_point_obj, ip6sta_access_point);

static const mp_rom_map_elem_t ip6sta_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_ip6sta) },
    { MP_ROM_QSTR(MP_QSTR_start), MP_ROM_PTR(&ip6sta_start_obj) },
    { MP_ROM_QSTR(MP_QSTR_link), MP_ROM_PTR(&ip6sta_link_obj) },
    { MP_ROM_QSTR(MP_QSTR_addresses), MP_ROM_PTR(&ip6sta_addresses_obj) },
    { MP_ROM_QSTR(MP_QSTR_take), MP_ROM_PTR(&ip6sta_take_obj) },
    { MP_ROM_QSTR(MP_QSTR_remove), MP_ROM_PTR(&ip6sta_remove_obj) },
    { MP_ROM_QSTR(MP_QSTR_age), MP_ROM_PTR(&ip6sta_age_obj) },
    { MP_ROM_QSTR(MP_QSTR_solicit), MP_ROM_PTR(&ip6sta_solicit_obj) },
    { MP_ROM_QSTR(MP_QSTR_dhcp), MP_ROM_PTR(&ip6sta_dhcp_obj) },
    { MP_ROM_QSTR(MP_QSTR_join), MP_ROM_PTR(&ip6sta_join_obj) },
    { MP_ROM_QSTR(MP_QSTR_access_point), MP_ROM_PTR(&ip6sta_access_point_obj) },
};
static MP_DEFINE_CONST_DICT(ip6sta_globals, ip6sta_globals_table);

const mp_obj_module_t ip6sta_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&ip6sta_globals,
};

MP_REGISTER_MODULE(MP_QSTR_ip6sta, ip6sta_module);
