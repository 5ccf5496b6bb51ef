// The chipset's two ways to reset the processor. Source: Intel ICH9 data sheet, 13.7.3 (PORT92) and 13.7.5 (RST_CNT).
#pragma once

#include "base/types.h"

namespace vireo::dev::resetctl {

/// Port 0x92.
namespace port92 {
constexpr u8 InitNow = 0x01, A20 = 0x02;
}
/// Port 0xCF9. A reset happens when RST_CPU goes from 0 to 1.
namespace rst_cnt {
constexpr u8 SYS_RST = 0x02, RST_CPU = 0x04, FULL_RST = 0x08, kWritable = SYS_RST | RST_CPU | FULL_RST;
}
/// What the ACPI FADT's RESET_VALUE holds for the reset register at 0xCF9.
constexpr u16 kResetRegister = 0xCF9;
constexpr u8 kResetValue = rst_cnt::SYS_RST | rst_cnt::RST_CPU;

}  // namespace vireo::dev::resetctl
