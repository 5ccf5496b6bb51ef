#include "boot/acpi/acpi.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <sstream>
#include <string>

#include "base/bytes.h"
#include "boot/acpi/aml.h"

namespace vireo::boot::acpi {
namespace {

Platform platform(unsigned cpus) {
  Platform p;
  p.cpus = cpus;
  p.lapic_address = 0xFEE00000;
  p.ioapic_address = 0xFEC00000;
  p.pm1_event = 0x600;
  p.pm1_control = 0x604;
  p.pm_timer = 0x608;
  p.gpe0 = 0x620;
  p.gpe0_length = 8;
  p.reset_port = 0xCF9;
  p.reset_value = 6;
  p.ecam = 0xE0000000;
  p.mmio32 = {{0xC0000000, 0xDFFFFFFF}};
  p.mmio64 = Window{0x800000000, 0xFFFFFFFFF};
  p.pci_gsi = [](unsigned device, unsigned pin) -> u32 { return 16 + (device + pin) % 8; };
  p.serial = {{0x3F8, 4}, {0x2F8, 3}};
  p.keyboard = true;
  p.rtc_century = 0x32;
  p.board_io = {{0x600, 0x63F}, {0xCF9, 0xCF9}};
  return p;
}

unsigned sum(std::span<const u8> bytes) { return std::accumulate(bytes.begin(), bytes.end(), 0u) & 0xFF; }

/// Carries out the loader's commands as firmware does, with the files at addresses of its choice.
class Loader {
 public:
  static constexpr u64 kTables = 0x7FE0000, kRsdp = 0xF0000;
  explicit Loader(LoaderFiles files) : files_(std::move(files)) {
    ByteReader in(files_.loader);
    while (in.remaining() != 0) {
      ByteReader entry(in.take_bytes(128));
      const u32 command = entry.take<u32>();
      const std::string name = text(entry);
      std::vector<u8>& file = name == "etc/acpi/rsdp" ? files_.rsdp : files_.tables;
      if (command == 2) {
        EXPECT_EQ(text(entry), "etc/acpi/tables");
        const u32 offset = entry.take<u32>();
        if (entry.take<u8>() == 4) {
          store(&file.at(offset), static_cast<u32>(load<u32>(&file.at(offset)) + kTables));
        } else {
          store(&file.at(offset), load<u64>(&file.at(offset)) + kTables);
        }
      } else if (command == 3) {
        const u32 offset = entry.take<u32>(), start = entry.take<u32>(), length = entry.take<u32>();
        EXPECT_EQ(file.at(offset), 0);
        file.at(offset) = static_cast<u8>(-sum(std::span(file).subspan(start, length)));
      } else {
        EXPECT_EQ(command, 1u);
      }
    }
  }
  const std::vector<u8>& rsdp() const { return files_.rsdp; }
  std::span<const u8> table(u64 address) const {
    const auto from = std::span(files_.tables).subspan(address - kTables);
    return from.first(load<u32>(&from[4]));
  }

 private:
  static std::string text(ByteReader& in) { return reinterpret_cast<const char*>(in.take_bytes(56).data()); }
  LoaderFiles files_;
};

TEST(AcpiLoader, LeadsFromTheRsdpToEveryTableWithRightSums) {
  const Loader loader(make_loader_files(platform(2)));
  EXPECT_EQ(sum(loader.rsdp()), 0u);
  EXPECT_EQ(sum(std::span(loader.rsdp()).first(20)), 0u);
  const auto xsdt = loader.table(load<u64>(&loader.rsdp()[24]));
  EXPECT_EQ(sum(xsdt), 0u);
  std::string names;
  for (std::size_t at = 36; at < xsdt.size(); at += 8) {
    const auto table = loader.table(load<u64>(&xsdt[at]));
    EXPECT_EQ(sum(table), 0u);
    names.append(table.begin(), table.begin() + 4);
  }
  EXPECT_EQ(names, "FACPAPICMCFG");
  const auto fadt = loader.table(load<u64>(&xsdt[36]));
  const auto dsdt = loader.table(load<u32>(&fadt[40]));
  EXPECT_EQ(std::string(dsdt.begin(), dsdt.begin() + 4), "DSDT");
  EXPECT_EQ(load<u64>(&fadt[140]), load<u32>(&fadt[40]));
  EXPECT_EQ(loader.table(load<u32>(&fadt[36]))[0], 'F') << "FACS";
}

class Iasl : public testing::Test {
 protected:
  void SetUp() override {
    if (std::system("iasl -v >/dev/null 2>&1") != 0) GTEST_SKIP() << "iasl (package acpica-tools) is not installed";
    char name[] = "/tmp/vireo-acpi-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }
  std::string run(const std::string& arguments) {
    const std::string log = folder_ + "/log";
    const int status = std::system(("cd " + folder_ + " && iasl " + arguments + " >log 2>&1").c_str());
    std::ifstream in(log);
    std::stringstream text;
    text << in.rdbuf();
    EXPECT_EQ(WEXITSTATUS(status), 0) << text.str();
    return text.str();
  }
  /// Disassembles, recompiles, and expects neither a complaint nor a changed byte past the header.
  void check(const std::string& name, const std::vector<u8>& table) {
    std::ofstream(folder_ + "/" + name + ".aml", std::ios::binary)
        .write(reinterpret_cast<const char*>(table.data()), static_cast<std::streamsize>(table.size()));
    const auto disassembly = run("-d " + name + ".aml");
    EXPECT_EQ(disassembly.find("Warning"), std::string::npos) << disassembly;
    EXPECT_EQ(disassembly.find("Error"), std::string::npos) << disassembly;
    const auto compilation = run("-we -p again " + name + ".dsl");
    EXPECT_NE(compilation.find("0 Errors, 0 Warnings, 0 Remarks"), std::string::npos) << compilation;
    std::ifstream in(folder_ + "/again.aml", std::ios::binary);
    std::vector<char> again((std::istreambuf_iterator<char>(in)), {});
    ASSERT_EQ(again.size(), table.size());
    constexpr std::size_t kHeader = 36;  // iasl writes its own creator id
    EXPECT_TRUE(std::equal(table.begin() + kHeader, table.end(), again.begin() + kHeader, [](u8 a, char b) {
      return a == static_cast<u8>(b);
    })) << name;
  }
  std::string folder_;
};

TEST_F(Iasl, FindsNothingToComplainAboutInAnyTable) {
  for (const unsigned cpus : {1u, 4u, 64u, 255u, 300u}) {
    const auto p = platform(cpus);
    check("dsdt", make_dsdt(p));
    check("apic", make_madt(p));
  }
  auto p = platform(2);
  check("facp", make_fadt(p, 0xE0040, 0xE0080));
  check("mcfg", make_mcfg(p));
  check("facs", make_facs());
  check("xsdt", make_xsdt({0xE1000, 0xE2000, 0xE3000}));
  p.mmio64.reset();
  p.keyboard = false;
  p.serial.clear();
  p.gpe0 = p.gpe0_length = 0;
  check("dsdt", make_dsdt(p));
  check("facp", make_fadt(p, 0xE0040, 0xE0080));
}

TEST(AcpiTables, AreLinkedFromTheRsdpWithGoodChecksums) {
  auto memory = std::move(vm::GuestMemory::create({{.gpa = 0, .size = kMiB, .offset = 0}}).value());
  const auto rsdp = write_tables(memory, platform(3), 0xE0000, 0x100000);
  ASSERT_TRUE(rsdp);
  EXPECT_EQ(*rsdp, 0xE0000u);
  const auto bytes = [&](u64 gpa, u64 size) { return std::span<const u8>(memory.at(gpa, size), size); };
  const auto text = [&](u64 gpa, u64 size) {
    return std::string(reinterpret_cast<const char*>(memory.at(gpa, size)), size);
  };
  EXPECT_EQ(text(*rsdp, 8), "RSD PTR ");
  EXPECT_EQ(sum(bytes(*rsdp, 20)), 0u);
  EXPECT_EQ(sum(bytes(*rsdp, 36)), 0u);
  const u64 xsdt = load<u64>(memory.at(*rsdp + 24, 8));
  const auto check_table = [&](u64 gpa) {
    const u32 length = load<u32>(memory.at(gpa + 4, 4));
    EXPECT_EQ(sum(bytes(gpa, length)), 0u);
    return text(gpa, 4);
  };
  EXPECT_EQ(check_table(xsdt), "XSDT");
  const u64 fadt = load<u64>(memory.at(xsdt + 36, 8));
  EXPECT_EQ(check_table(fadt), "FACP");
  EXPECT_EQ(check_table(load<u32>(memory.at(fadt + 40, 4))), "DSDT");
  const u64 facs = load<u32>(memory.at(fadt + 36, 4));
  EXPECT_EQ(text(facs, 4), "FACS");
  EXPECT_EQ(facs % 64, 0u);
  EXPECT_EQ(check_table(load<u64>(memory.at(xsdt + 44, 8))), "APIC");
  EXPECT_EQ(check_table(load<u64>(memory.at(xsdt + 52, 8))), "MCFG");
}

TEST(AcpiTables, FitForTheLargestMachineAndSayWhenTheyDoNot) {
  auto memory = std::move(vm::GuestMemory::create({{.gpa = 0, .size = kMiB, .offset = 0}}).value());
  EXPECT_TRUE(write_tables(memory, platform(255), 0xE0000, 0xF0000));
  EXPECT_FALSE(write_tables(memory, platform(255), 0xE0000, 0xE1000));
}

TEST(Aml, EncodesNamesLengthsAndIdentifiers) {
  EXPECT_EQ(aml::path("\\_SB.PCI0"), (aml::Term{'\\', 0x2E, '_', 'S', 'B', '_', 'P', 'C', 'I', '0'}));
  EXPECT_EQ(aml::eisa_id("PNP0A03"), (aml::Term{0x0C, 0x41, 0xD0, 0x0A, 0x03}));
  EXPECT_EQ(aml::integer(0x1234), (aml::Term{0x0B, 0x34, 0x12}));
  EXPECT_EQ(aml::buffer(aml::Term(100, 7)).at(1), 0x40 | ((100 + 2 + 2) & 15));
  EXPECT_EQ(aml::buffer(aml::Term(100, 7)).at(2), (100 + 2 + 2) >> 4);
}

}  // namespace
}  // namespace vireo::boot::acpi
