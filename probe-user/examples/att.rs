fn main() {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .init();
    let t = std::time::Instant::now();
    let r = probe_user::attach::Attached::attach(
        if std::env::args().nth(1).as_deref() == Some("raw") {
            probe_user::attach::Attachment::Raw
        } else {
            Default::default()
        },
        log::LevelFilter::Off,
    );
    match r {
        Ok(a) => {
            println!("attached {:?} {:?}", t.elapsed(), a.hooks());
            std::thread::sleep(std::time::Duration::from_secs(1));
            let t = std::time::Instant::now();
            drop(a);
            println!("{:?}", t.elapsed())
        }
        Err(e) => println!("ERR {e}"),
    }
}
