//! A release build holds the web phone's files: it has to be made anew when there is one more. (The compiler itself notices changes
//! in files that it has read; a debug build reads them from disk when they are asked for.)

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("PROFILE").as_deref() == Ok("release") {
        println!("cargo:rerun-if-changed=../web-phone");
    }
}
