// The tables as a file that firmware puts somewhere, and the commands by which it does. Source: QEMU's ACPI linker and
// loader interface (hw/acpi/bios-linker-loader).
#include <array>
#include <string_view>

#include "base/bits.h"
#include "base/bytes.h"
#include "boot/acpi/acpi.h"

namespace vireo::boot::acpi {
namespace {

constexpr std::string_view kTables = "etc/acpi/tables", kRsdp = "etc/acpi/rsdp";
// Offsets in tables (ACPI 6.5, 5.2)
constexpr u32 kChecksum = 9, kXsdtEntries = 36, kFadtFacs = 36, kFadtDsdt = 40, kFadtXDsdt = 140, kRsdpXsdt = 24,
              kRsdpChecksum = 8, kRsdpExtendedChecksum = 32, kRsdpFirstPart = 20;

/// Entries of 128 bytes each: the command, its arguments, and nothing.
class Commands {
 public:
  enum class Zone : u8 { High = 1, FSegment = 2 };

  void allocate(std::string_view file, u32 alignment, Zone zone) {
    begin(1);
    put_name(file);
    entry_.put(alignment), entry_.put(static_cast<u8>(zone));
    end();
  }
  void add_pointer(std::string_view in, std::string_view to, u32 offset, u8 size) {
    begin(2);
    put_name(in), put_name(to);
    entry_.put(offset), entry_.put(size);
    end();
  }
  void add_checksum(std::string_view file, u32 offset, u32 start, u32 length) {
    begin(3);
    put_name(file);
    entry_.put(offset), entry_.put(start), entry_.put(length);
    end();
  }
  std::vector<u8>& bytes() { return out_.bytes(); }

 private:
  void begin(u32 command) {
    entry_ = {};
    entry_.put(command);
  }
  void put_name(std::string_view name) {
    std::array<u8, 56> field{};
    std::copy(name.begin(), name.end(), field.begin());
    entry_.put_bytes(field);
  }
  void end() {
    entry_.bytes().resize(128);
    out_.put_bytes(entry_.bytes());
  }
  ByteWriter entry_, out_;
};

}  // namespace

LoaderFiles make_loader_files(const Platform& platform) {
  constexpr u32 kAlignment = 64;  // the FACS's (5.2.10)
  LoaderFiles files;
  Commands commands;
  commands.allocate(kTables, kAlignment, Commands::Zone::High);
  commands.allocate(kRsdp, 16, Commands::Zone::FSegment);

  const auto place = [&](const std::vector<u8>& table) {
    const u32 at = static_cast<u32>(files.tables.size());
    files.tables.insert(files.tables.end(), table.begin(), table.end());
    files.tables.resize(align_up(files.tables.size(), kAlignment));
    return at;
  };
  /// The sum is made once the pointers are in.
  const auto sum_later = [&](u32 table) {
    files.tables[table + kChecksum] = 0;
    commands.add_checksum(kTables, table + kChecksum, table, load<u32>(&files.tables[table + 4]));
  };
  const u32 facs = place(make_facs());
  const u32 dsdt = place(make_dsdt(platform));
  const u32 fadt = place(make_fadt(platform, facs, dsdt));
  commands.add_pointer(kTables, kTables, fadt + kFadtFacs, 4);
  commands.add_pointer(kTables, kTables, fadt + kFadtDsdt, 4);
  commands.add_pointer(kTables, kTables, fadt + kFadtXDsdt, 8);
  sum_later(fadt);
  std::vector<u64> tables = {fadt, place(make_madt(platform)), place(make_mcfg(platform))};
  for (const auto& table : platform.more_tables) tables.push_back(place(table));
  const u32 xsdt = place(make_xsdt(tables));
  for (u32 i = 0; i < tables.size(); ++i) commands.add_pointer(kTables, kTables, xsdt + kXsdtEntries + 8 * i, 8);
  sum_later(xsdt);

  files.rsdp = make_rsdp(xsdt);
  commands.add_pointer(kRsdp, kTables, kRsdpXsdt, 8);
  files.rsdp[kRsdpChecksum] = files.rsdp[kRsdpExtendedChecksum] = 0;
  commands.add_checksum(kRsdp, kRsdpChecksum, 0, kRsdpFirstPart);
  commands.add_checksum(kRsdp, kRsdpExtendedChecksum, 0, static_cast<u32>(files.rsdp.size()));
  files.loader = std::move(commands.bytes());
  return files;
}

}  // namespace vireo::boot::acpi
