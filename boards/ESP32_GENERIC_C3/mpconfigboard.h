#define MICROPY_HW_BOARD_NAME "ESP32C3 module (roamkey)"
#define MICROPY_HW_MCU_NAME "ESP32C3"

// As upstream: modules with a USB-UART bridge and those with native USB are served alike.
#define MICROPY_HW_ENABLE_UART_REPL (1)
