//! Which files are weights of which model.

use std::path::{Component, Path, PathBuf};

use probe_abi::{MAX_ROOTS, ROOT_BYTES};
use regex::Regex;

/// Names of weights files, unless configured: those of the usual frameworks and inference engines.
pub const DEFAULT_WEIGHTS: [&str; 10] = [
    "*.safetensors",
    "*.pt",
    "*.pth",
    "*.bin",
    "*.onnx",
    "*.gguf",
    "*.engine",
    "*.plan",
    "*.ckpt",
    "*.npz",
];

/// Rules that tell a model from a path. Without a root no file is followed.
#[derive(Clone, Debug, Default)]
pub struct ModelFiles {
    /// Folders of models, as the watched processes name them; each ends in a slash.
    roots: Vec<String>,
    /// On the whole path; its group `model` is the model. Without it, the first part of the path
    /// below the root is.
    id: Option<Regex>,
    /// On the file's name.
    weights: Vec<Regex>,
}

impl PartialEq for ModelFiles {
    fn eq(&self, other: &Self) -> bool {
        let patterns = |rules: &Self| -> Vec<String> {
            let all = rules.weights.iter().chain(&rules.id);
            all.map(|pattern| pattern.as_str().to_owned()).collect()
        };
        self.roots == other.roots && patterns(self) == patterns(other)
    }
}

/// Why the rules cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelFilesError {
    /// Where it starts depends on the process.
    #[error("the root `{0}` is no absolute path below `/`: write it like \"/models\"")]
    NotAbsolute(String),
    /// The kernel side compares so many bytes.
    #[error("the root `{0}` is longer than {max} bytes: give a folder above it", max = ROOT_BYTES - 1)]
    TooLong(String),
    /// The kernel side holds so many.
    #[error("more than {MAX_ROOTS} roots: give a folder above them")]
    TooMany,
    /// `id` is no regular expression.
    #[error("id is no regular expression: {0}")]
    Pattern(String),
    /// `id` does not say where the model is.
    #[error("id has no group `model`: write it like '/(?<model>[^/]+)/[^/]+$'")]
    NoGroup,
}

impl ModelFiles {
    /// Rules of these roots, this pattern of paths (empty for none) and these patterns of file names,
    /// in which `*` stands for any characters and `?` for one.
    pub fn new(roots: &[String], id: &str, weights: &[String]) -> Result<Self, ModelFilesError> {
        if roots.len() > MAX_ROOTS as usize {
            return Err(ModelFilesError::TooMany);
        }
        let roots = roots
            .iter()
            .map(|root| compile_root(root))
            .collect::<Result<_, _>>()?;
        let id = (!id.is_empty()).then(|| Regex::new(id)).transpose();
        let id =
            id.map_err(|error| ModelFilesError::Pattern(error.to_string().replace('\n', " ")))?;
        let names_model = |id: &Regex| id.capture_names().flatten().any(|name| name == "model");
        if id.as_ref().is_some_and(|id| !names_model(id)) {
            return Err(ModelFilesError::NoGroup);
        }
        let weights = weights
            .iter()
            .filter_map(|glob| compile_glob(glob))
            .collect();
        Ok(Self { roots, id, weights })
    }

    /// Folders of models; each ends in a slash.
    pub fn roots(&self) -> &[String] {
        &self.roots
    }

    /// The model that a file is weights of; `None` for any other file. The path is absolute.
    pub fn model_of(&self, path: &str) -> Option<String> {
        let path = normalised(path)?;
        let below = self.roots.iter().filter_map(|root| path.strip_prefix(root));
        // The innermost root, where one lies in another.
        let below = below.min_by_key(|below| below.len())?;
        let name = below.rsplit('/').next()?;
        if !self.weights.iter().any(|weights| weights.is_match(name)) {
            return None;
        }
        let model = match &self.id {
            Some(id) => id.captures(&path)?.name("model")?.as_str(),
            None => match below.split_once('/') {
                Some((folder, _)) => folder,
                None => name.rsplit_once('.').map_or(name, |(stem, _)| stem),
            },
        };
        (!model.is_empty()).then(|| model.to_owned())
    }
}

fn compile_root(root: &str) -> Result<String, ModelFilesError> {
    let folder = normalised(root)
        .filter(|folder| folder != "/")
        .ok_or_else(|| ModelFilesError::NotAbsolute(root.to_owned()))?;
    let folder = folder + "/";
    if folder.len() > ROOT_BYTES {
        return Err(ModelFilesError::TooLong(root.to_owned()));
    }
    Ok(folder)
}

/// An absolute path without `.`, `..` and doubled slashes; symbolic links stay what they are called.
fn normalised(path: &str) -> Option<String> {
    if !path.starts_with('/') {
        return None;
    }
    let mut normal = PathBuf::from("/");
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => {
                normal.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Some(normal.to_str()?.to_owned())
}

/// A pattern of file names as a regular expression; `None` for one too large to be compiled.
fn compile_glob(glob: &str) -> Option<Regex> {
    let pattern: String = glob
        .chars()
        .map(|character| match character {
            '*' => ".*".to_owned(),
            '?' => ".".to_owned(),
            other => regex::escape(other.encode_utf8(&mut [0; 4])),
        })
        .collect();
    Regex::new(&format!("^{pattern}$")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(roots: &[&str], id: &str) -> Result<ModelFiles, ModelFilesError> {
        let owned = |texts: &[&str]| {
            texts
                .iter()
                .map(|&text| text.to_owned())
                .collect::<Vec<_>>()
        };
        ModelFiles::new(&owned(roots), id, &owned(&DEFAULT_WEIGHTS))
    }

    fn model(rules: &ModelFiles, path: &str) -> Option<String> {
        rules.model_of(path)
    }

    #[test]
    fn model_is_the_first_part_of_the_path_below_the_root() {
        let rules = rules(&["/models/", "/srv/more"], "").unwrap();
        assert_eq!(rules.roots(), ["/models/", "/srv/more/"]);
        let of = |path| model(&rules, path);
        assert_eq!(of("/models/cosy/v2/w.safetensors").as_deref(), Some("cosy"));
        assert_eq!(of("/models/cosy/../voice/a.pt").as_deref(), Some("voice"));
        assert_eq!(of("/srv/more/./x//y.gguf").as_deref(), Some("x"));
        assert_eq!(of("/models/single.onnx").as_deref(), Some("single"));
    }

    #[test]
    fn other_files_belong_to_no_model() {
        let rules = rules(&["/models"], "").unwrap();
        for path in [
            "/models/cosy/tokenizer.json",
            "/models2/cosy/w.pt",
            "/models/../etc/w.pt",
            "models/cosy/w.pt",
            "/models",
        ] {
            assert_eq!(model(&rules, path), None, "{path}");
        }
        let none = ModelFiles::default();
        assert_eq!(model(&none, "/models/cosy/w.pt"), None);
    }

    #[test]
    fn pattern_names_the_model() {
        let rules = rules(&["/cache"], r"/models--(?<model>[^/]+)/snapshots/").unwrap();
        let path = "/cache/hub/models--org--voice/snapshots/0a1b/model.safetensors";
        assert_eq!(model(&rules, path).as_deref(), Some("org--voice"));
        assert_eq!(model(&rules, "/cache/other/model.safetensors"), None);
    }

    #[test]
    fn rules_that_say_nothing_are_errors() {
        let error = |roots: &[&str], id| rules(roots, id).map(drop).unwrap_err();
        let relative = ModelFilesError::NotAbsolute("models".to_owned());
        assert_eq!(error(&["models"], ""), relative);
        assert_eq!(error(&["/"], ""), ModelFilesError::NotAbsolute("/".into()));
        assert_eq!(error(&["/m"], "^/m/"), ModelFilesError::NoGroup);
        assert!(matches!(error(&["/m"], "("), ModelFilesError::Pattern(_)));
        let long = format!("/{}", "m".repeat(ROOT_BYTES));
        assert_eq!(error(&[&long], ""), ModelFilesError::TooLong(long.clone()));
        let many = vec!["/m"; MAX_ROOTS as usize + 1];
        assert_eq!(error(&many, ""), ModelFilesError::TooMany);
    }
}
