//! Alone in its process: what is resident is counted.

#![cfg(target_os = "linux")]

fn resident_code() -> u64 {
    let program = std::fs::read_link("/proc/self/exe").expect("exe");
    let maps = std::fs::read_to_string("/proc/self/smaps").expect("smaps");
    let mut inside = false;
    maps.lines()
        .filter_map(|line| {
            if line.contains("-") && line.contains(' ') && !line.contains(": ") {
                inside = line.contains(" r-xp ") && line.ends_with(&*program.to_string_lossy());
            }
            let size = line.strip_prefix("Rss:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok()?;
            inside.then_some(size * 1024)
        })
        .sum()
}

#[test]
fn a_process_that_gave_its_code_back_holds_less_of_it_and_goes_on_running() {
    let before = resident_code();
    let given = toq_footprint::give_back_code().expect("given back");
    assert!(given > 0 && given <= before, "{given} of {before}");
    assert!(resident_code() < before, "{before} were resident");
    let threads: Vec<_> = (0..4).map(|n| std::thread::spawn(move || format!("{n}").parse::<usize>().expect("a number"))).collect();
    let sum: usize = threads.into_iter().map(|thread| thread.join().expect("joined")).sum();
    assert_eq!(sum, 6);
}
