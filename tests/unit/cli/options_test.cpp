#include <gtest/gtest.h>

#include <csignal>
#include <set>

#include "cli/commands.h"
#include "cli/config_file.h"
#include "cli/run_options.h"

namespace vireo::cli {
namespace {

/// The error's text, or "" when the text was accepted.
std::string refusal(std::string_view text) {
  vmm::Config config;
  const auto result = apply_config_text(text, "vm.toml", config);
  if (result) return "";
  EXPECT_EQ(result.error().kind, ErrorKind::Usage);
  return result.error().message;
}

TEST(Sizes, TakeBinaryUnits) {
  EXPECT_EQ(parse_size("4096").value(), 4096u);
  EXPECT_EQ(parse_size("3K").value(), 3 * kKiB);
  EXPECT_EQ(parse_size("512M").value(), 512 * kMiB);
  EXPECT_EQ(parse_size("512m").value(), 512 * kMiB);
  EXPECT_EQ(parse_size("5GiB").value(), 5 * kGiB);
  EXPECT_EQ(parse_size("1T").value(), 1024 * kGiB);
}

TEST(Sizes, ThatMakeNoSenseAreRefused) {
  for (const char* text :
       {"", "M", "-1M", "1.5G", "12Q", "1MM", "1 M", "0x10M", "99999999999999999999", "99999999999T", "iB"}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
}

TEST(RunOptions, HaveNamesOfTheirOwn) {
  std::set<std::string> names;
  for (const auto& option : run_options()) EXPECT_TRUE(names.insert(option.name).second) << option.name;
  EXPECT_EQ(find_run_option("kernel"), &run_options()[0]);
  EXPECT_EQ(find_run_option("kernels"), nullptr);
}

TEST(ConfigFile, SetsEveryOptionUnderTheNameOfTheCommandLine) {
  vmm::Config config;
  const auto result = apply_config_text(R"(
kernel = "vmlinuz"
initrd = "initrd.img"
append = "console=ttyS0"
memory = "2G"
cpus = 4
engine = "interpret"
name = "web-1"
console = "file:serial.log"
serial = ["pty", "socket,path=s"]
control = "vm.socket"
on-crash = "reboot"
save-on = ["SIGUSR2", "vm.state"]
after-save = "stop"
restore = "old.state"
stats = "vm.json"
perf-map = true
sandbox = "report"
quiet = true
)",
                                        "vm.toml", config);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(config.kernel, "vmlinuz");
  EXPECT_EQ(config.initrd, "initrd.img");
  EXPECT_EQ(config.append, "console=ttyS0");
  EXPECT_EQ(config.memory, 2 * kGiB);
  EXPECT_EQ(config.cpus, 4u);
  EXPECT_EQ(config.engine, vmm::Engine::Interpret);
  EXPECT_EQ(config.name, "web-1");
  EXPECT_EQ(config.console.kind, vmm::Console::Kind::File);
  EXPECT_EQ(config.console.path, "serial.log");
  ASSERT_EQ(config.serial.size(), 2u);
  EXPECT_EQ(config.serial[0].kind, vmm::Console::Kind::Pty);
  EXPECT_EQ(config.serial[1].path, "s");
  EXPECT_EQ(config.control, "vm.socket");
  EXPECT_EQ(config.on_crash, vmm::OnCrash::Reboot);
  ASSERT_TRUE(config.save_on);
  EXPECT_EQ(config.save_on->signal, SIGUSR2);
  EXPECT_EQ(config.save_on->file, "vm.state");
  EXPECT_EQ(config.after_save, vmm::AfterSave::Stop);
  EXPECT_EQ(config.restore, "old.state");
  EXPECT_EQ(config.stats, "vm.json");
  EXPECT_TRUE(config.perf_map);
  EXPECT_EQ(config.sandbox, vmm::Sandbox::Report);
  EXPECT_TRUE(config.quiet);
}

TEST(ConfigFile, SaysWhatFirmwareBoots) {
  vmm::Config config;
  ASSERT_TRUE(apply_config_text("firmware = \"bios\"\nboot = [\"menu\", \"order=2,0\"]", "vm.toml", config));
  EXPECT_EQ(config.firmware, "bios");
  EXPECT_TRUE(config.boot.menu);
  EXPECT_EQ(config.boot.disks, (std::vector<unsigned>{2, 0}));
  for (const char* bad :
       {"order=", "order=a", "order=1,", "order=1;2", "order=256", "order=99999999999999999999", "x", ""}) {
    EXPECT_NE(refusal(std::string("boot = \"") + bad + "\""), "") << bad;
  }
}

TEST(ConfigFile, ErrorsNameFileLineAndColumn) {
  EXPECT_TRUE(refusal("kernel = \"a\"\n  gpu = 3\n").starts_with("vm.toml:2:3: there is no option \"gpu\""));
  EXPECT_TRUE(refusal("kernel = \"a\"\ncpus = \n").starts_with("vm.toml:2:8: "));
  EXPECT_TRUE(refusal("memory = \"12Q\"").starts_with("vm.toml:1:10: memory: "));
  EXPECT_TRUE(refusal("memory = 1.5").starts_with("vm.toml:1:10: memory must be"));
  EXPECT_TRUE(refusal("save-on = [\"SIGUSR1\"]").starts_with("vm.toml:1:11: save-on must be an array of 2"));
  EXPECT_TRUE(refusal("save-on = [\"SIGUSR1\", true]").starts_with("vm.toml:1:11: save-on must be an array of 2"));
  EXPECT_TRUE(refusal("quiet = \"yes\"").starts_with("vm.toml:1:9: quiet is either true or false"));
  EXPECT_TRUE(refusal("[kernel]\nx = 1").starts_with("vm.toml:1:1: kernel must be"));
  EXPECT_TRUE(refusal("kernel = \"\"").starts_with("vm.toml:1:10: kernel: the name of the file is empty"));
  EXPECT_TRUE(
      refusal("engine = \"fast\"").starts_with("vm.toml:1:10: engine: \"fast\" is unknown; choose one of auto, kvm"));
  EXPECT_TRUE(refusal("name = \"a b\"").starts_with("vm.toml:1:8: name: "));
  EXPECT_FALSE(refusal("\xff\xfe").empty());
}

/// Runs the program in this process.
int program(std::vector<std::string> words) {
  std::vector<char*> arguments;
  words.insert(words.begin(), "vireo");
  for (auto& word : words) arguments.push_back(word.data());
  return main(static_cast<int>(arguments.size()), arguments.data());
}

TEST(CommandLine, EndsWithTheDocumentedExitCodes) {
  EXPECT_EQ(program({"--help"}), 0);
  EXPECT_EQ(program({"run", "--help"}), 0);
  EXPECT_EQ(program({"version"}), 0);
  EXPECT_EQ(program({}), 2);
  EXPECT_EQ(program({"fly"}), 2);
  EXPECT_EQ(program({"run", "--fly"}), 2);
  EXPECT_EQ(program({"run", "--memory"}), 2);
  EXPECT_EQ(program({"run", "--memory", "12Q", "--kernel", "/dev/null"}), 2);
  EXPECT_EQ(program({"run", "--save-on", "SIGUSR1"}), 2);
  EXPECT_EQ(program({"run", "--save-on", "SIGKILL", "f"}), 2);
  EXPECT_EQ(program({"run", "--config", "/nonexistent/vm.toml"}), 3);
}

}  // namespace
}  // namespace vireo::cli
