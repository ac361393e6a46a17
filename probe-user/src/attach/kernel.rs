//! Which kernel this is.

use rustix::system::uname;

/// Major and minor number.
pub type Version = (u32, u32);

/// Version of a release such as `6.1.0-18-amd64`; zero where there is no number.
pub fn version(release: &str) -> Version {
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Version of the running kernel.
pub fn running() -> Version {
    version(&uname().release().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        assert!(version("6.18.44-fc") >= (5, 12));
        assert_eq!(version("5.12.0-rc1"), (5, 12));
        assert!(version("5.10.0-28-amd64") < (5, 12));
        assert!(version("7.2-rc3") >= (7, 2));
        assert_eq!(version("nonsense"), (0, 0));
    }
}
