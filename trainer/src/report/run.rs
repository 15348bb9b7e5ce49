//! The epochs of a training run, from its `metrics.csv`.

use std::path::Path;

use serde::Deserialize;

use super::ReportError;

/// What a report shows of an epoch. A run of an older trainer has no training accuracy.
#[derive(Clone, Debug, Deserialize)]
pub struct Epoch {
    pub epoch: usize,
    /// Input side, pixels.
    pub size: u32,
    pub train_loss: f64,
    /// 0..=1.
    pub train_accuracy: Option<f64>,
    pub val_loss: f64,
    /// 0..=1.
    pub val_accuracy: f64,
}

/// A run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The name of its folder.
    pub name: String,
    pub epochs: Vec<Epoch>,
}

impl Run {
    /// Reads a run's folder, or its `metrics.csv`. There is at least one epoch.
    pub fn read(path: &Path) -> Result<Run, ReportError> {
        let file = if path.is_dir() { path.join("metrics.csv") } else { path.to_path_buf() };
        let table = |source| ReportError::Run { path: file.clone(), source };
        let epochs = csv::Reader::from_path(&file)
            .and_then(|mut reader| reader.deserialize().collect::<Result<Vec<Epoch>, _>>())
            .map_err(table)?;
        if epochs.is_empty() {
            return Err(ReportError::EmptyRun(file));
        }
        let folder = file.canonicalize().ok().and_then(|file| Some(file.parent()?.file_name()?.to_owned()));
        let name = folder.unwrap_or_default().to_string_lossy().into_owned();
        Ok(Run { name, epochs })
    }

    /// The epoch whose weights were kept: the best validation accuracy of the last size, the later one of equals.
    pub fn best(&self) -> Option<&Epoch> {
        let size = self.epochs.last()?.size;
        let of_last_size = self.epochs.iter().filter(|epoch| epoch.size == size);
        of_last_size.max_by(|a, b| a.val_accuracy.total_cmp(&b.val_accuracy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_epoch_is_one_of_the_last_size() {
        let folder = tempfile::tempdir().unwrap();
        let table = "epoch,size,learning_rate,train_loss,val_loss,val_accuracy,seconds\n\
                     1,128,0.1,1.0,0.9,0.99,3\n2,224,0.1,0.8,0.7,0.6,3\n3,224,0.1,0.7,0.7,0.6,3\n4,224,0.1,0.6,0.8,0.5,3\n";
        std::fs::write(folder.path().join("metrics.csv"), table).unwrap();
        let run = Run::read(folder.path()).unwrap();
        assert_eq!(run.name, folder.path().file_name().unwrap().to_string_lossy());
        assert_eq!((run.epochs.len(), run.best().unwrap().epoch), (4, 3));
        assert_eq!(run.epochs[0].train_accuracy, None);
    }

    #[test]
    fn what_is_no_run_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("metrics.csv");
        for text in ["epoch,size\n1,128\n", "epoch,size,train_loss,val_loss,val_accuracy\n"] {
            std::fs::write(&file, text).unwrap();
            assert!(Run::read(folder.path()).unwrap_err().to_string().contains("metrics.csv"));
        }
        std::fs::remove_file(&file).unwrap();
        assert!(Run::read(folder.path()).unwrap_err().to_string().contains("metrics.csv"));
    }
}
