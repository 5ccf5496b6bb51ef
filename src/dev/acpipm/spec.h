// ACPI's fixed hardware. Source: ACPI specification 6.5, chapter 4.8; the layout of the block is ours, after Intel's
// ICH.
#pragma once

#include "base/types.h"

namespace vireo::dev::acpipm {

/// Offsets in the I/O block, for the FADT.
enum class Reg : u16 {
  PM1_STS = 0x00,  ///< PM1a_EVT_BLK, PM1_EVT_LEN 4: status and enable, 2 bytes each
  PM1_EN = 0x02,
  PM1_CNT = 0x04,   ///< PM1a_CNT_BLK, PM1_CNT_LEN 2
  PM_TMR = 0x08,    ///< PM_TMR_BLK, PM_TMR_LEN 4
  GPE0_STS = 0x20,  ///< GPE0_BLK, GPE0_BLK_LEN 4: status and enable, 2 bytes each
  GPE0_EN = 0x22,
};
constexpr u16 kPorts = 0x40;
constexpr unsigned kGpes = 16;

/// PM1 status and enable (tables 4.14 and 4.15).
namespace pm1 {
constexpr u16 TMR = 0x0001, BM = 0x0010, GBL = 0x0020, PWRBTN = 0x0100, SLPBTN = 0x0200, RTC = 0x0400, WAK = 0x8000;
constexpr u16 kStatus = TMR | BM | GBL | PWRBTN | SLPBTN | RTC | WAK;
constexpr u16 kEnable = TMR | GBL | PWRBTN | SLPBTN | RTC;
}  // namespace pm1
/// PM1 control (table 4.16).
namespace cnt {
constexpr u16 SCI_EN = 0x0001, BM_RLD = 0x0002, GBL_RLS = 0x0004, SLP_TYP = 0x1C00, SLP_EN = 0x2000;
constexpr unsigned kSleepTypeShift = 10;
constexpr u16 kReadable = SCI_EN | BM_RLD | SLP_TYP;
}  // namespace cnt
/// SLP_TYP of S5, for the DSDT's \_S5. There is no other sleep state.
constexpr u8 kS5SleepType = 5;

/// Power management timer (4.8.2.1).
constexpr u64 kTimerHz = 3'579'545;

}  // namespace vireo::dev::acpipm
